import { err, ok, type Result } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config/yaml";
import { HOW_TO_NAME_ADMIN } from "./admin-url.ts";

/** What the control plane's admin answers to GET /status. */
export interface StatusReport {
  readonly nodes: readonly NodeReport[];
  /** What is wrong with the files now; the last good content of each serves. */
  readonly diagnostics: readonly Diagnostic[];
  /** Null, or absent of an older control plane, where nothing can be put. */
  readonly resources?: ResourcesReport | null;
}

/** What people have put into the control plane. */
export interface ResourcesReport {
  /** "log /var/lib/heddle/resources" */
  readonly store: string;
  readonly revision: number;
  readonly resources: number;
  readonly trouble: string | null;
  /** Null after a delete, and where there is nothing. */
  readonly lastWrite: {
    readonly by: string;
    /** ISO 8601. */
    readonly at: string;
    readonly resources: number;
    readonly keys: readonly string[];
  } | null;
}

export interface NodeReport {
  readonly id: string;
  readonly cluster: string;
  readonly variant: "sotw" | "delta";
  /** ISO 8601. */
  readonly connectedAt: string;
  readonly types: readonly TypeReport[];
  /** What policies close to it, or at it, for want of an identity; absent of an older control plane. */
  readonly closed?: readonly string[];
  /** What a sidecar of ours says of its certificate; null without one, absent of a foreign client. */
  readonly identity?: IdentityReport | null;
  /** What the node accepted and does not honour; absent where the node cannot say (a foreign client). */
  readonly unhonoured?: readonly { readonly resource: string; readonly path: string; readonly note: string }[];
}

export interface IdentityReport {
  /** "": none yet, or it has expired. */
  readonly spiffeId: string;
  readonly state: "none" | "valid" | "renewing" | "expired";
  /** ISO 8601. */
  readonly expires: string | null;
  readonly lastError: string;
}

export interface TypeReport {
  /** "Cluster" */
  readonly type: string;
  readonly resources: number;
  /** Why the node refused the newest; null where it did not. */
  readonly rejected: { readonly message: string } | null;
}

export async function readStatus(adminUrl: string): Promise<Result<StatusReport, string>> {
  try {
    const response = await fetch(`${adminUrl}/status`);
    const report = response.ok ? ((await response.json().catch(() => undefined)) as Partial<StatusReport>) : undefined;
    if (Array.isArray(report?.nodes) && Array.isArray(report.diagnostics)) return ok(report as StatusReport);
    return err(`what answers at ${adminUrl} (${response.status}) is no control plane's admin; ${HOW_TO_NAME_ADMIN}`);
  } catch (error) {
    const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    return err(`no control plane answers at ${adminUrl} (${code ?? message}); ${HOW_TO_NAME_ADMIN}`);
  }
}

/** The ids of the nodes that are connected; none where the control plane does not answer. */
export async function connectedNodes(adminUrl: string): Promise<ReadonlySet<string>> {
  const status = await readStatus(adminUrl);
  return new Set(status.ok ? status.value.nodes.map(({ id }) => id) : []);
}

/** One line for everything that is wrong: faults of files, and what nodes have refused. */
export function troubles(status: StatusReport): string[] {
  return [
    ...status.diagnostics.map((diagnostic) => `${diagnostic.severity}: ${formatDiagnostic(diagnostic)}`),
    ...status.nodes.flatMap(({ id, closed = [] }) => closed.map((what) => `warning: ${id}: ${what}`)),
    ...status.nodes.flatMap(({ id, identity }) => (identity ? troubleOf(id, identity) : [])),
    ...status.nodes.flatMap(({ id, types }) =>
      types.flatMap(({ type, rejected }) =>
        rejected === null ? [] : [`error: ${id} refused ${type}: ${rejected.message}`],
      ),
    ),
  ];
}

function troubleOf(id: string, { state, expires, lastError }: IdentityReport): string[] {
  if (lastError === "" || state === "valid") return [];
  if (state === "renewing")
    return [`warning: ${id} cannot renew its certificate, which expires ${expires}: ${lastError}`];
  return [`error: ${id} has no certificate: ${lastError}`];
}
