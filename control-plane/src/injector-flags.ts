import { err, ok, type Result } from "@heddle/base";
import type { FlagsReading } from "./program.ts";
import { clusterFaults, PROGRAM_OPTIONS, type ProgramFlags, parseWords, readProgramFlags } from "./program-flags.ts";
import { type HostPort, parseHostPort } from "./serve/address.ts";
import { readWebhookFlags, WEBHOOK_HELP, WEBHOOK_OPTIONS, type WebhookFlags } from "./webhook-flags.ts";

/** What the command line of an injector says. */
export interface InjectorFlags extends ProgramFlags {
  readonly webhooks: WebhookFlags;
  readonly certificate: CertificateFlags;
  /** Undefined: no cluster is followed. */
  readonly kubernetes:
    | { readonly type: "in-cluster" }
    | { readonly type: "kubeconfig"; readonly file: string; readonly context: string | undefined }
    | undefined;
  readonly adminAddress: HostPort;
}

/** Where the serving certificate comes from. */
export type CertificateFlags =
  | {
      readonly type: "files";
      readonly certificateFile: string;
      readonly keyFile: string;
      readonly caFile: string | undefined;
    }
  | {
      readonly type: "authority";
      readonly controlPlane: HostPort;
      readonly caFile: string;
      readonly tokenFile: string;
    };

const CA_FILE = "/var/run/heddle/ca/root.pem";
const TOKEN_FILE = "/var/run/heddle/token/token";

export const INJECTOR_HELP = `Usage: heddle injector [OPTIONS]

Serves Kubernetes' admission webhooks on a port of its own: /inject puts the sidecar into pods that are created, /validate
refuses what heddle check refuses, /healthz and /readyz are for the kubelet. heddle control-plane does the same with
--webhook-address.

Options:
  --webhook-address HOST:PORT
                             where they are served, over HTTPS ([::]:15017)
  --tls-cert FILE and --tls-key FILE
                             the serving certificate; PEM, followed
  --tls-ca FILE              what has signed it, for caBundle
  --control-plane HOST:PORT  or have it issued, and renewed, by the mesh's authority there, over TLS. That says which names it
                             has: heddle control-plane --serving-names
  --ca-bundle FILE           by whom that is known (${CA_FILE})
  --service-account-token FILE
                             our own token, made for the audience heddle (${TOKEN_FILE})
  --kubernetes               follow the namespaces of the cluster in which this is a pod, and keep caBundle in the webhook
                             configurations; without it their selectors decide, and caBundle is somebody else's
  --kubeconfig FILE          the same from outside, by a file as kubectl has it
  --kubernetes-context NAME  which of its contexts (its current one)
${WEBHOOK_HELP}
  --admin-address HOST:PORT  where /metrics is (127.0.0.1:15018)
  --log-level LEVEL          trace, debug, info, warn, error or off (info)
  --log-format FORMAT        text or json (text), on standard error
  --exit-with-parent         end when standard input or the parent process ends
  --version                  print the version
  -h, --help                 print this

Ends with 0 when it was told to stop, 1 when it could not start, 2 when the command line is wrong.

Example:
  heddle injector --control-plane heddle-control-plane.heddle-system.svc:15012`;

/** Reads the words behind `heddle injector`. On failure every reason. */
export function parseInjectorFlags(words: readonly string[]): Result<FlagsReading<InjectorFlags>, readonly string[]> {
  const parsed = parseWords(words, OPTIONS);
  if (!parsed.ok) return parsed;
  const { values } = parsed.value;
  if (values.help === true) return ok({ type: "print", what: "help" });
  if (values.version === true) return ok({ type: "print", what: "version" });
  const faults: string[] = [];
  const webhooks = readWebhookFlags(values, "[::]:15017", faults);
  if (values["webhook-san"] !== undefined)
    faults.push("--webhook-san: is for a control plane, which signs; see --serving-names there");
  const certificate = readCertificate(values, faults);
  const { kubeconfig: file, "kubernetes-context": context } = values;
  faults.push(...clusterFaults(values));
  const cluster = values.kubernetes === true ? ({ type: "in-cluster" } as const) : undefined;
  const admin = parseHostPort(values["admin-address"] ?? "127.0.0.1:15018");
  if (!admin.ok) faults.push(`--admin-address: ${admin.error}`);
  const program = readProgramFlags(values, faults);
  if (faults.length > 0 || webhooks === undefined || certificate === undefined || !admin.ok) return err(faults);
  return ok({
    type: "run",
    flags: {
      webhooks,
      certificate,
      kubernetes: file === undefined ? cluster : { type: "kubeconfig", file, context },
      adminAddress: admin.value,
      ...program,
    },
  });
}

const FILE_FLAGS = ["tls-cert", "tls-key", "tls-ca"] as const;
const AUTHORITY_FLAGS = ["control-plane", "ca-bundle", "service-account-token"] as const;

function readCertificate(
  values: Readonly<Partial<Record<(typeof FILE_FLAGS)[number] | (typeof AUTHORITY_FLAGS)[number], string>>>,
  faults: string[],
): CertificateFlags | undefined {
  const { "tls-cert": certificateFile, "tls-key": keyFile, "tls-ca": caFile, "control-plane": where } = values;
  if ((certificateFile === undefined) !== (keyFile === undefined)) faults.push("--tls-cert and --tls-key go together");
  if (certificateFile !== undefined && keyFile !== undefined) {
    for (const flag of AUTHORITY_FLAGS)
      if (values[flag] !== undefined) faults.push(`--${flag}: the certificate is that of --tls-cert`);
    return { type: "files", certificateFile, keyFile, caFile };
  }
  if (caFile !== undefined) faults.push("--tls-ca: needs --tls-cert");
  if (where === undefined) {
    faults.push("name a serving certificate (--tls-cert and --tls-key), or who issues it (--control-plane)");
    return undefined;
  }
  const controlPlane = parseHostPort(where);
  if (!controlPlane.ok) {
    faults.push(`--control-plane: ${controlPlane.error}`);
    return undefined;
  }
  return {
    type: "authority",
    controlPlane: controlPlane.value,
    caFile: values["ca-bundle"] ?? CA_FILE,
    tokenFile: values["service-account-token"] ?? TOKEN_FILE,
  };
}

const OPTIONS = {
  ...WEBHOOK_OPTIONS,
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "tls-ca": { type: "string" },
  "control-plane": { type: "string" },
  "ca-bundle": { type: "string" },
  "service-account-token": { type: "string" },
  kubernetes: { type: "boolean" },
  kubeconfig: { type: "string" },
  "kubernetes-context": { type: "string" },
  "admin-address": { type: "string" },
  ...PROGRAM_OPTIONS,
} as const;
