import type { Labels } from "./metrics.ts";

/*
 * Envoy's names of a series. The admin's `/stats` has one dotted name with everything in it
 * ("cluster.orders.upstream_rq_2xx"); Prometheus has a name and labels, which Envoy takes out of the dotted name by its
 * default tag extractors (source/common/config/well_known_names.cc). Ours have labels from the start, so the dotted
 * name is put together here: the value of a known label follows the part of the name to which it belongs.
 */

const GRPC_METHOD = ["envoy_grpc_bridge_service", "envoy_grpc_bridge_method"];

/** Part of the name, and the labels whose values follow it in the dotted name. */
const LABELS_OF_PART: Readonly<Record<string, readonly string[]>> = {
  __proto__: null as never,
  cluster: ["envoy_cluster_name"],
  dns_filter: ["envoy_dns_filter_prefix"],
  ext_authz: ["envoy_ext_authz_prefix"],
  grpc: GRPC_METHOD,
  "grpc-web": GRPC_METHOD,
  http: ["envoy_http_conn_manager_prefix"],
  http_filter: ["envoy_extension_config"],
  network_filter: ["envoy_extension_config"],
  tcp_listener_filter: ["envoy_extension_config"],
  listener: ["envoy_listener_address"],
  policy: ["envoy_rbac_policy_name"],
  rbac: ["envoy_rbac_http_prefix"],
  rds: ["envoy_rds_route_config"],
  sds: ["envoy_sds_secret"],
  tcp: ["envoy_tcp_prefix"],
  udp: ["envoy_udp_prefix"],
  vhost: ["envoy_virtual_host"],
  vcluster: ["envoy_virtual_cluster"],
  route: ["envoy_route"],
};

/** The label whose value stands before that part: what a network filter's configuration calls its `stat_prefix`. */
const LABEL_BEFORE_PART: Readonly<Record<string, string>> = { __proto__: null as never, rbac: "envoy_rbac_prefix" };

const KNOWN: ReadonlySet<string> = new Set(
  [LABELS_OF_PART, LABEL_BEFORE_PART].flatMap((of) => Object.values(of).flat()),
);
const NONE: readonly string[] = [];

/** "cluster.orders.upstream_rq_2xx". Labels that Envoy does not know follow at the end: "xds_server.requests.type.Cluster". */
export function statName(name: string, labels: Labels): string {
  let text = statStem(name, labels);
  for (const label of Object.keys(labels).sort()) if (!KNOWN.has(label)) text += `.${label}.${labels[label]}`;
  return text;
}

/** What the names of all series begin with whose names begin with `name` and that have these labels. */
export function statStem(name: string, labels: Labels): string {
  let text = "";
  for (const part of name.split(".")) {
    const before = labels[LABEL_BEFORE_PART[part] ?? ""];
    if (before !== undefined) text += text === "" ? sanitize(before) : `.${sanitize(before)}`;
    text += text === "" ? part : `.${part}`;
    for (const label of LABELS_OF_PART[part] ?? NONE) {
      const value = labels[label];
      if (value !== undefined) text += `.${sanitize(value)}`;
    }
  }
  return text;
}

/** Envoy writes "_" for ":" in what it puts into a name ("listener.0.0.0.0_8080"), and reads its labels out of that. */
function sanitize(value: string): string {
  return value.includes(":") ? value.replaceAll("://", "_").replaceAll(/:\/?/g, "_") : value;
}

export interface TaggedName {
  /** Without what became a label: "cluster.upstream_rq_xx". */
  readonly name: string;
  readonly labels: Labels;
}

// "upstream_rq_2xx" is the series of class 2 of "upstream_rq_xx"; "upstream_rq_200" that of code 200 of "upstream_rq".
const CLASS = /(?<=[._]rq_)([1-5])xx$/;
const CODE = /(?<=[._]rq)_([1-5]\d\d)$/;

/** As Envoy's default tags divide the name. */
export function taggedName(name: string, given: Labels): TaggedName {
  let labels = given;
  for (const label in given) {
    const value = given[label]!; // it is one of its labels
    if (value.includes(":") && KNOWN.has(label)) labels = { ...labels, [label]: sanitize(value) };
  }
  const ofClass = CLASS.exec(name);
  if (ofClass !== null) {
    return { name: name.replace(CLASS, "xx"), labels: { ...labels, envoy_response_code_class: ofClass[1]! } };
  }
  const ofCode = CODE.exec(name);
  if (ofCode !== null) return { name: name.replace(CODE, ""), labels: { ...labels, envoy_response_code: ofCode[1]! } };
  return { name, labels };
}

/** How a configuration wants series named (`stats_config`); Envoy's defaults where nobody says anything. */
export type StatNaming = (name: string, labels: Labels) => TaggedName;

/** "envoy_cluster_upstream_rq_xx": Prometheus' form of a name without its tags. */
export function prometheusName(tagged: string): string {
  return `envoy_${tagged.replaceAll(/[^a-zA-Z0-9_]/g, "_")}`;
}

/** "cluster.<envoy_cluster_name>.upstream_rq_xx": where Envoy's documentation has it. */
export function statPattern(name: string, labels: Labels): string {
  let text = "";
  for (const part of name.split(".")) {
    const before = LABEL_BEFORE_PART[part];
    if (before !== undefined && before in labels) text += `${text === "" ? "" : "."}<${before.replace("envoy_", "")}>`;
    text += text === "" ? part : `.${part}`;
    for (const label of LABELS_OF_PART[part] ?? NONE) {
      if (label in labels) text += `.<${label.replace("envoy_", "")}>`;
    }
  }
  return text;
}
