/** One flag of the command line. */
export interface Flag {
  /** The first is the one that help shows; others are Envoy's or short. */
  readonly names: readonly string[];
  /** What stands behind it in help; undefined: it takes no value. */
  readonly value?: string;
  readonly help: string;
  /** May be given several times. */
  readonly repeated?: boolean;
  /** Its value has to be a whole number. */
  readonly number?: boolean;
  /** Its value has to be one of these. */
  readonly oneOf?: readonly string[];
}

/** Every flag that does something. */
export const FLAGS = {
  configPath: { names: ["-c", "--config-path"], value: "FILE", help: "an Envoy bootstrap in YAML or JSON" },
  configYaml: {
    names: ["--config-yaml"],
    value: "YAML",
    help: "a bootstrap as text; with -c it is merged over that file",
  },
  controlPlane: {
    names: ["--control-plane"],
    value: "HOST:PORT",
    help: "Heddle's control plane instead of a bootstrap (HEDDLE_CONTROL_PLANE, else 127.0.0.1:15010, :15012 with identity)",
  },
  caBundle: {
    names: ["--ca-bundle"],
    value: "FILE",
    help: "PEM: by whom the control plane is known; its authority then gives this sidecar an identity (HEDDLE_CA_BUNDLE)",
  },
  joinTokenFile: {
    names: ["--join-token-file"],
    value: "FILE",
    help: "the join token that proves who this sidecar is (HEDDLE_JOIN_TOKEN holds the token itself)",
  },
  serviceAccountToken: {
    names: ["--service-account-token"],
    value: "FILE",
    help: "the token of a Kubernetes service account, instead of a join token",
  },
  caAddress: {
    names: ["--ca-address"],
    value: "HOST:PORT",
    help: "where the authority is asked (the control plane; needed beside a bootstrap)",
  },
  identityDir: {
    names: ["--identity-dir"],
    value: "DIR",
    help: "keep the key and the certificate there across restarts",
  },
  svidRenewAtPercent: {
    names: ["--svid-renew-at-percent"],
    value: "PERCENT",
    number: true,
    help: "get the next certificate after that much of the life of the last (50)",
  },
  spiffeEndpointSocket: {
    names: ["--spiffe-endpoint-socket"],
    value: "PATH",
    help: "take the identity from a SPIFFE agent (SPIRE) instead (SPIFFE_ENDPOINT_SOCKET)",
  },
  workloadApi: {
    names: ["--workload-api"],
    value: "PATH",
    help: "serve the SPIFFE Workload API there, a Unix socket for applications of the same user",
  },
  mode: {
    names: ["--mode"],
    value: "MODE",
    oneOf: ["serve", "validate", "init_only"],
    help: "serve; validate: check the bootstrap and end; init_only: start, and end when ready (serve)",
  },
  nodeId: {
    names: ["--node-id", "--service-node"],
    value: "ID",
    help: "<namespace>/<workload>/<instance>; with a bootstrap, in place of its node.id",
  },
  nodeCluster: {
    names: ["--node-cluster", "--service-cluster"],
    value: "NAME",
    help: "the workload's name (by default the second part of the node's id)",
  },
  nodeZone: { names: ["--service-zone"], value: "ZONE", help: "in place of the bootstrap's node.locality.zone" },
  adminAddress: {
    names: ["--admin-address"],
    value: "HOST:PORT",
    help: "where admin listens (127.0.0.1:15000; with a bootstrap, what that says)",
  },
  adminAddressPath: {
    names: ["--admin-address-path"],
    value: "FILE",
    help: "write there where admin listens, once it does",
  },
  healthAddress: {
    names: ["--health-address"],
    value: "HOST:PORT",
    help: "where the kubelet asks: /healthz/ready, /healthz/live, and the application's probes (nowhere; in a pod [::]:15021)",
  },
  metricsAddress: {
    names: ["--metrics-address"],
    value: "HOST:PORT",
    help: "where Prometheus asks: /metrics, /stats/prometheus (nowhere but on admin; in a pod [::]:15020)",
  },
  concurrency: { names: ["--concurrency"], value: "N", help: "traffic workers (1)" },
  cpusetThreads: {
    names: ["--cpuset-threads"],
    help: "as many workers as this process has processors, unless --concurrency",
  },
  logLevel: { names: ["--log-level", "-l"], value: "LEVEL", help: "trace, debug, info, warn, error or off (info)" },
  componentLogLevel: {
    names: ["--component-log-level"],
    value: "NAME:LEVEL,…",
    help: "levels of single loggers: main, xds, report, traffic, or Envoy's names",
  },
  logFormat: {
    names: ["--log-format"],
    value: "FORMAT",
    help: "text or json (text), one line an event",
  },
  logPath: { names: ["--log-path"], value: "FILE", help: "write the log there (standard error)" },
  drainTime: {
    names: ["--drain-time-s"],
    value: "SECONDS",
    help: "how long requests may go on after SIGTERM (5), and connections of listeners that are gone (600)",
  },
  drainStrategy: {
    names: ["--drain-strategy"],
    value: "STRATEGY",
    oneOf: ["gradual", "immediate"],
    help: "gradual: connections of a listener that is gone end one by one; immediate: with their next answer (gradual)",
  },
  logFlushInterval: {
    names: ["--file-flush-interval-msec"],
    value: "MS",
    help: "how long lines of an access log may wait (1000)",
  },
  logFlushSize: {
    names: ["--file-flush-min-size-kb"],
    value: "KB",
    help: "how much of an access log is written at once without waiting (64)",
  },
  statsTag: {
    names: ["--stats-tag"],
    value: "NAME:VALUE",
    repeated: true,
    help: "a label that every metric carries; may be repeated",
  },
  disableExtensions: {
    names: ["--disable-extensions"],
    value: "NAME,…",
    help: "HTTP filters that are refused as if there were none such: envoy.filters.http/NAME, or NAME",
  },
  allowUnknownStaticFields: {
    names: ["--allow-unknown-static-fields", "--allow-unknown-fields"],
    help: "report fields of the bootstrap that nobody knows instead of refusing them",
  },
  bootstrapVersion: { names: ["--bootstrap-version"], value: "3", oneOf: ["3"], help: "the only one there is" },
  json: { names: ["--json"], help: "with --mode validate: the outcome as JSON" },
  exitWithParent: { names: ["--exit-with-parent"], help: "end when standard input or the parent process ends" },
  hotRestartVersion: { names: ["--hot-restart-version"], help: 'print "disabled": there is no hot restart' },
  version: { names: ["--version"], help: "print the version" },
  help: { names: ["--help", "-h"], help: "print this" },
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagKey = keyof typeof FLAGS;

const NO_HOT_RESTART = "there is no hot restart";

/** Flags of Envoy that are understood and do nothing here, so that a command line for an Envoy runs; each with the reason. */
export const WITHOUT_EFFECT: readonly (Flag & { readonly names: readonly [string] })[] = [
  { names: ["--base-id"], value: "N", number: true, help: NO_HOT_RESTART },
  { names: ["--use-dynamic-base-id"], help: NO_HOT_RESTART },
  { names: ["--base-id-path"], value: "FILE", help: NO_HOT_RESTART },
  { names: ["--restart-epoch"], value: "N", number: true, help: NO_HOT_RESTART },
  { names: ["--parent-shutdown-time-s"], value: "N", number: true, help: NO_HOT_RESTART },
  { names: ["--disable-hot-restart"], help: NO_HOT_RESTART },
  { names: ["--skip-hot-restart-on-no-parent"], help: NO_HOT_RESTART },
  { names: ["--skip-hot-restart-parent-stats"], help: NO_HOT_RESTART },
  { names: ["--socket-path"], value: "PATH", help: NO_HOT_RESTART },
  { names: ["--socket-mode"], value: "MODE", help: NO_HOT_RESTART },
  { names: ["--local-address-ip-version"], value: "v4|v6", oneOf: ["v4", "v6"], help: "no address is chosen by it" },
  { names: ["--log-format-escaped"], help: "control characters in the log are always escaped" },
  { names: ["--enable-fine-grain-logging"], help: "loggers are main, xds, report and traffic" },
  { names: ["--skip-deprecated-logs"], help: "use of deprecated fields is not logged" },
  { names: ["--reject-unknown-dynamic-fields"], help: "what is done with each field is listed in the docs" },
  { names: ["--ignore-unknown-dynamic-fields"], help: "what is done with each field is listed in the docs" },
  { names: ["--enable-core-dump"], help: "Node decides about core dumps" },
  { names: ["--enable-mutex-tracing"], help: "there are no locks" },
  { names: ["--max-stats"], value: "N", number: true, help: "metrics take the memory that they need" },
  { names: ["--max-obj-name-len"], value: "N", number: true, help: "names may be of any length" },
];

export function sidecarHelp(): string {
  const rows = Object.values(FLAGS).map(helpRow);
  const ignored = WITHOUT_EFFECT.map(helpRow);
  const width = Math.max(...[...rows, ...ignored].map(([names]) => names.length));
  const lines = (of: readonly (readonly [string, string])[]): string[] =>
    of.map(([names, help]) => `  ${names.padEnd(width)}  ${help}`);
  return [
    "Usage: heddle sidecar -c FILE [OPTIONS]",
    "       heddle sidecar --node-id ID [--control-plane HOST:PORT] [OPTIONS]",
    "",
    "Runs a sidecar proxy, configured by an Envoy bootstrap or by Heddle's control plane.",
    "",
    "Options:",
    ...lines(rows),
    "",
    "Options of Envoy that have no effect, and why:",
    ...lines(ignored),
    "",
    "Ends with 0 when it was asked to end, or when the configuration is valid; 1 when it cannot start, or when --mode",
    "validate finds an error; 2 when the command line or the bootstrap is wrong.",
    "",
    "Examples:",
    "  heddle sidecar -c envoy.yaml --concurrency 2",
    "  heddle sidecar -c envoy.yaml --mode validate",
    "  heddle sidecar --node-id shop/orders/1 --control-plane 127.0.0.1:15010",
  ].join("\n");
}

function helpRow(flag: Flag): readonly [string, string] {
  const names = flag.names.toSorted((a, b) => a.length - b.length).join(", ");
  return [flag.value === undefined ? names : `${names} ${flag.value}`, flag.help];
}
