import type { Inspectable, Json } from "@heddle/base";
import { nodeKey, type ReportServer, type SidecarReport, type SidecarState, type XdsServer } from "@heddle/xds/server";
import type { Snapshots } from "../snapshot/snapshots.ts";

/**
 * Who is connected: what each node accepted or rejected, as the server saw it, and, of a sidecar of ours, what it says
 * about itself; and what policies close for want of an identity.
 */
export class NodeStatuses implements Inspectable {
  readonly name = "nodes";
  readonly #xds: XdsServer;
  readonly #reports: ReportServer;
  readonly #snapshots: Pick<Snapshots, "closed">;

  constructor(xds: XdsServer, reports: ReportServer, snapshots: Pick<Snapshots, "closed">) {
    this.#xds = xds;
    this.#reports = reports;
    this.#snapshots = snapshots;
  }

  inspect(): Json {
    const closed = this.#snapshots.closed();
    const shown = this.#xds.inspect() as readonly { readonly id: string }[];
    // Both at one moment, so in one order. By what they have shown: two may say one id.
    return this.#xds.nodes().map(({ node }, index) => ({
      ...shown[index],
      closed: [...(closed.get(nodeKey(node)) ?? [])],
      ...reported(this.#reports.stateOf(node)),
    }));
  }
}

/** What the sidecar says of itself. */
function identityOf({ spiffeId, expiresMs, state, lastError }: NonNullable<SidecarReport["identity"]>): Json {
  const expires = expiresMs === undefined ? null : new Date(expiresMs).toISOString();
  return { spiffeId, state, expires, lastError };
}

/** Nothing of a client that does not report: an Envoy, a gRPC client. */
function reported(state: SidecarState | undefined): { readonly [key: string]: Json } {
  if (state === undefined) return {};
  const { report, receivedAtMs } = state;
  const isWaiting = (state: string): boolean => state !== "SYNCED" && state !== "UNSPECIFIED";
  return {
    reportedAt: new Date(receivedAtMs).toISOString(),
    version: report.version,
    uptimeMs: report.uptimeMs,
    health: { ...report.health },
    identity: report.identity === undefined ? null : identityOf(report.identity),
    // What the sidecar accepted and does not do.
    unhonoured: report.resources.flatMap(({ name, unhonoured }) =>
      unhonoured.map(({ path, note }) => ({ resource: name, path, note })),
    ),
    // What it has not in force as it should be.
    unsettled: report.resources
      .filter(({ state }) => isWaiting(state))
      .map(({ name, state, errors, waitsFor }) => ({
        resource: name,
        state,
        errors: [...errors],
        waitsFor: [...waitsFor],
      })),
  };
}
