import { err, ok, type Result } from "@heddle/base";
import type { UnknownDestinations } from "@heddle/mesh";
import type { AdminAddress } from "@heddle/telemetry/admin";
import type { ApiOptions } from "./api/open-api.ts";
import type { CaOptions } from "./ca/ca-options.ts";
import { CA_HELP, CA_OPTIONS, readCaFlags } from "./ca-flags.ts";
import type { KubernetesOptions } from "./kubernetes/kubernetes-options.ts";
import type { FlagsReading } from "./program.ts";
import { clusterFaults, PROGRAM_OPTIONS, type ProgramFlags, parseWords, readProgramFlags } from "./program-flags.ts";
import { type HostPort, isLoopback, parseAdminAddress, parseHostPort } from "./serve/address.ts";
import type { EtcdSecurity } from "./store/etcd/etcd-security.ts";
import { parseStorePlace, type StorePlace } from "./store/store-place.ts";
import { readWebhookFlags, WEBHOOK_HELP, WEBHOOK_OPTIONS, type WebhookFlags } from "./webhook-flags.ts";
import { readXdsLimitFlags, XDS_LIMIT_HELP, XDS_LIMIT_OPTIONS, type XdsLimits } from "./xds-limit-flags.ts";

/** What the command line of a control plane says. */
export interface Flags extends ProgramFlags {
  readonly folders: readonly string[];
  /** Undefined: no cluster is followed. */
  readonly kubernetes: Omit<KubernetesOptions, "environment"> | undefined;
  readonly storePlace: StorePlace;
  readonly acceptDataLoss: boolean;
  readonly etcd: EtcdSecurity;
  readonly xdsAddress: HostPort;
  /** Undefined: nobody is served over REST. */
  readonly xdsRestAddress: HostPort | undefined;
  readonly adminAddress: AdminAddress;
  readonly api: ApiOptions;
  /** Undefined: there is no certificate authority, and nothing is served over TLS. */
  readonly ca: CaOptions | undefined;
  /** Left out: no admission webhooks are served here. */
  readonly webhooks?: WebhookFlags;
  /** What captured workloads do with what the mesh does not know. */
  readonly unknownDestinations: UnknownDestinations;
  readonly identifier: string | undefined;
  /** Left out: the defaults. */
  readonly xdsLimits?: XdsLimits;
  /** Clients are asked to report load by endpoint as well (LRS). Left out: by locality alone. */
  readonly loadByEndpoint?: boolean;
}

export const HELP = `Usage: heddle control-plane [OPTIONS]

Runs the control plane: reads the configuration files in DIR (Kubernetes Services, Gateway API routes, Heddle's
Workloads, xDS resources in proto JSON or YAML), follows their changes, takes what is put in with heddle apply, and serves
all of it over xDS to sidecars, Envoys and gRPC clients.

Options:
  --config DIR               a folder of YAML or JSON files, with its subfolders; may be given more than once
  --kubernetes               follow the cluster in which this is a pod: Services, EndpointSlices, pods with a sidecar, Gateway
                             API and Heddle's kinds; nothing is stored then unless --store says where
  --kubeconfig FILE          the same from outside, by a file as kubectl has it
  --kubernetes-context NAME  which of its contexts (its current one)
  --kubernetes-namespace NAME
                             follow that namespace alone; may be given more than once
  --system-namespace NAME    with --kubeconfig, where the control plane's own Lease and Service are (heddle-system)
  --store PLACE              where to keep what is put in through the resource API: a folder, none, or for several control
                             planes etcd://HOST:PORT[,HOST:PORT][/PREFIX] (etcds: over TLS). By default a folder of its
                             own for each first --config, below $STATE_DIRECTORY, $XDG_STATE_HOME/heddle or
                             ~/.local/state/heddle
  --store-accept-data-loss   where that is damaged, go on with what came before the damage rather than refuse to start
  --etcd-tls-ca FILE         etcd's authority, where it is not one of the system's
  --etcd-tls-certificate FILE and --etcd-tls-key FILE: what to show to etcd; PEM
  --etcd-user FILE           "name:password" in its first line; over TLS or to this machine
  --xds-address HOST:PORT    where xDS is served, without TLS and so on loopback only (127.0.0.1:15010)
  --xds-rest-address HOST:PORT
                             where xDS is served over REST-JSON, on loopback only too (nowhere)
${XDS_LIMIT_HELP}
  --load-by-endpoint         ask for load reports (LRS) by endpoint as well as by locality; /load shows them
  --admin-address HOST:PORT  where /status, /config, /metrics and /ready are (127.0.0.1:15014), or unix:PATH
  --api-address HOST:PORT    where resources are put (heddle apply) and got, over HTTP; gRPC is on the xDS port
                             (127.0.0.1:15016; where that is taken, nowhere)
  --api-tokens FILE          who may use it (heddle token new makes entries); without it everybody on this machine
  --api-tls-certificate FILE and --api-tls-key FILE: PEM; needed, with tokens, where it is not on loopback
${CA_HELP}
  --webhook-address HOST:PORT
                             where Kubernetes' admission webhooks are served, over HTTPS, by a certificate of the authority (nowhere);
                             heddle injector is a process with these alone
  --webhook-san NAME         a further DNS name or IP address of that certificate, besides the Service's; may be given more than
                             once
${WEBHOOK_HELP}
  --unknown-destinations passthrough|blackhole
                             what captured workloads do with calls to what the mesh does not know (passthrough: they go where
                             they were meant to go, unprotected; blackhole: 502, or closed)
  --identifier NAME          which replica this is, for clients to tell (the machine's name)
  --log-level LEVEL          trace, debug, info, warn, error or off (info)
  --log-format FORMAT        text or json (text), on standard error
  --exit-with-parent         end when standard input or the parent process ends
  --version                  print the version
  -h, --help                 print this

Ends with 0 when it was told to stop, 1 when it could not start, 2 when the command line is wrong.

Example:
  heddle control-plane --config ./mesh`;

/** Reads the words behind `heddle control-plane`. On failure every reason. */
export function parseFlags(words: readonly string[]): Result<FlagsReading<Flags>, readonly string[]> {
  const parsed = parseWords(words, OPTIONS);
  if (!parsed.ok) return parsed;
  const { values } = parsed.value;
  if (values.help === true) return ok({ type: "print", what: "help" });
  if (values.version === true) return ok({ type: "print", what: "version" });

  const faults: string[] = [];
  const address = (flag: "xds-address" | "xds-rest-address" | "api-address", byDefault: string): HostPort => {
    const read = parseHostPort(values[flag] ?? byDefault);
    if (!read.ok) faults.push(`--${flag}: ${read.error}`);
    return read.ok ? read.value : { host: "", port: 0 };
  };
  const folders = values.config ?? [];
  const kubernetes = readKubernetes(values, faults);
  // There the API server keeps what people say, and a container has no place of its own.
  const byDefault = ok({ type: kubernetes === undefined ? "default" : "none" } as const);
  const store = values.store === undefined ? byDefault : parseStorePlace(values.store);
  if (!store.ok) faults.push(`--store: ${store.error}`);
  const storePlace = store.ok ? store.value : ({ type: "none" } as const);
  if (folders.length === 0 && storePlace.type === "none" && store.ok && kubernetes === undefined)
    faults.push("--config is missing: the folder of configuration files, where nothing is stored");
  const etcd = readEtcd(values, storePlace);
  faults.push(...etcd.faults);
  const [certificateFile, keyFile] = [values["api-tls-certificate"], values["api-tls-key"]];
  if ((certificateFile === undefined) !== (keyFile === undefined))
    faults.push("--api-tls-certificate and --api-tls-key go together");
  if (storePlace.type === "none" && store.ok)
    for (const flag of API_FLAGS)
      if (values[flag] !== undefined) faults.push(`--${flag}: nothing can be put where nothing is stored`);
  const ca = readCaFlags(values, { hasCluster: kubernetes !== undefined });
  if (!ca.ok) faults.push(...ca.error);
  const webhooks = readWebhookFlags(values, undefined, faults);
  if (webhooks !== undefined && ca.ok && ca.value === undefined)
    faults.push("--webhook-address: needs --trust-domain, whose authority signs its certificate");
  const unknownDestinations = values["unknown-destinations"] ?? "passthrough";
  if (unknownDestinations !== "passthrough" && unknownDestinations !== "blackhole")
    faults.push(`--unknown-destinations: found "${unknownDestinations}", allowed: passthrough, blackhole`);
  const program = readProgramFlags(values, faults);
  const xdsLimits = readXdsLimitFlags(values, faults);
  const flags: Flags = {
    folders,
    kubernetes,
    storePlace,
    acceptDataLoss: values["store-accept-data-loss"] === true,
    etcd: etcd.security,
    xdsAddress: address("xds-address", "127.0.0.1:15010"),
    xdsRestAddress: values["xds-rest-address"] === undefined ? undefined : address("xds-rest-address", ""),
    adminAddress: adminAddress(values["admin-address"] ?? "127.0.0.1:15014", faults),
    api: {
      address: address("api-address", "127.0.0.1:15016"),
      isAsked: API_FLAGS.some((flag) => values[flag] !== undefined),
      tokensFile: values["api-tokens"],
      tls: certificateFile === undefined || keyFile === undefined ? undefined : { certificateFile, keyFile },
    },
    ca: ca.ok ? ca.value : undefined,
    ...(webhooks !== undefined && { webhooks }),
    unknownDestinations: unknownDestinations === "blackhole" ? "blackhole" : "passthrough",
    identifier: values.identifier,
    ...(xdsLimits !== undefined && { xdsLimits }),
    ...(values["load-by-endpoint"] === true && { loadByEndpoint: true }),
    ...program,
  };
  return faults.length > 0 ? err(faults) : ok({ type: "run", flags });
}

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function readKubernetes(values: KubernetesValues, faults: string[]): Flags["kubernetes"] {
  const { kubernetes, kubeconfig, "kubernetes-context": context, "kubernetes-namespace": namespaces } = values;
  const systemNamespace = values["system-namespace"];
  faults.push(...clusterFaults(values));
  if (kubernetes !== true && kubeconfig === undefined) {
    if (namespaces !== undefined) faults.push("--kubernetes-namespace: needs --kubernetes or --kubeconfig");
    if (systemNamespace !== undefined) faults.push("--system-namespace: needs --kubeconfig");
    return undefined;
  }
  if (systemNamespace !== undefined && kubeconfig === undefined)
    faults.push("--system-namespace: needs --kubeconfig; a pod's is its own");
  for (const name of namespaces ?? [])
    if (!NAMESPACE.test(name)) faults.push(`--kubernetes-namespace: found "${name}", allowed: a namespace's name`);
  if (systemNamespace !== undefined && !NAMESPACE.test(systemNamespace))
    faults.push(`--system-namespace: found "${systemNamespace}", allowed: a namespace's name`);
  return {
    kubeconfig: kubeconfig === undefined ? undefined : { file: kubeconfig, context },
    namespaces: namespaces && [...new Set(namespaces)],
    ...(systemNamespace !== undefined && { systemNamespace }),
  };
}

interface KubernetesValues {
  readonly kubernetes?: boolean | undefined;
  readonly kubeconfig?: string | undefined;
  readonly "kubernetes-context"?: string | undefined;
  readonly "kubernetes-namespace"?: readonly string[] | undefined;
  readonly "system-namespace"?: string | undefined;
}

type EtcdFlag = (typeof ETCD_FLAGS)[number];

const ETCD_FLAGS = ["etcd-tls-ca", "etcd-tls-certificate", "etcd-tls-key", "etcd-user"] as const;

function readEtcd(
  values: Readonly<Partial<Record<EtcdFlag, string>>>,
  place: StorePlace,
): { readonly security: EtcdSecurity; readonly faults: readonly string[] } {
  const {
    "etcd-tls-ca": caFile,
    "etcd-tls-certificate": certFile,
    "etcd-tls-key": keyFile,
    "etcd-user": userFile,
  } = values;
  const tls = place.type === "etcd" && place.tls;
  const faults: string[] = [];
  for (const flag of ETCD_FLAGS) {
    if (values[flag] === undefined) continue;
    if (place.type !== "etcd") faults.push(`--${flag}: needs --store etcd://... or etcds://...`);
    else if (flag !== "etcd-user" && !tls) faults.push(`--${flag}: needs --store etcds://..., which is etcd over TLS`);
  }
  if ((certFile === undefined) !== (keyFile === undefined))
    faults.push("--etcd-tls-certificate and --etcd-tls-key go together");
  if (userFile !== undefined && place.type === "etcd" && !tls && !place.endpoints.every(({ host }) => isLoopback(host)))
    faults.push("--etcd-user: a password goes to another machine over TLS alone; give --store etcds://...");
  return { security: { tls, caFile, certFile, keyFile, userFile }, faults };
}

function adminAddress(text: string, faults: string[]): AdminAddress {
  const read = parseAdminAddress(text);
  if (!read.ok) faults.push(`--admin-address: ${read.error}`);
  return read.ok ? read.value : { host: "", port: 0 };
}

const API_FLAGS = ["api-address", "api-tokens", "api-tls-certificate", "api-tls-key"] as const;

const OPTIONS = {
  config: { type: "string", multiple: true },
  kubernetes: { type: "boolean" },
  kubeconfig: { type: "string" },
  "kubernetes-context": { type: "string" },
  "kubernetes-namespace": { type: "string", multiple: true },
  "system-namespace": { type: "string" },
  store: { type: "string" },
  "store-accept-data-loss": { type: "boolean" },
  "etcd-tls-ca": { type: "string" },
  "etcd-tls-certificate": { type: "string" },
  "etcd-tls-key": { type: "string" },
  "etcd-user": { type: "string" },
  "xds-address": { type: "string" },
  "xds-rest-address": { type: "string" },
  "admin-address": { type: "string" },
  "api-address": { type: "string" },
  "api-tokens": { type: "string" },
  "api-tls-certificate": { type: "string" },
  "api-tls-key": { type: "string" },
  ...XDS_LIMIT_OPTIONS,
  "load-by-endpoint": { type: "boolean" },
  ...CA_OPTIONS,
  ...WEBHOOK_OPTIONS,
  "unknown-destinations": { type: "string" },
  identifier: { type: "string" },
  ...PROGRAM_OPTIONS,
} as const;
