import type { Labels } from "./metrics.ts";

/*
 * Envoy's two names of a series. The admin's `/stats` has one dotted name with everything in it
 * ("cluster.orders.upstream_rq_2xx"); Prometheus has a name and labels, which Envoy takes out of the dotted name by its
 * default tag extractors (source/common/config/well_known_names.cc). Ours have labels from the start, so the dotted
 * name is put together here: the value of a known label follows the part of the name to which it belongs.
 */

/** Part of the name, and the label whose value follows it in the dotted name. */
const OWNER_OF_LABEL: Readonly<Record<string, string>> = {
  cluster: "envoy_cluster_name",
  http: "envoy_http_conn_manager_prefix",
  listener: "envoy_listener_address",
  tcp: "envoy_tcp_prefix",
  vhost: "envoy_virtual_host",
};

const KNOWN: ReadonlySet<string> = new Set(Object.values(OWNER_OF_LABEL));

/** "cluster.orders.upstream_rq_2xx". Labels that Envoy does not know follow at the end: "xds_server.requests.type.Cluster". */
export function statName(name: string, labels: Labels): string {
  let text = "";
  for (const part of name.split(".")) {
    text += text === "" ? part : `.${part}`;
    const value = labels[OWNER_OF_LABEL[part] ?? ""];
    // Envoy writes "_" for ":" in what it puts into a name ("listener.0.0.0.0_8080").
    if (value !== undefined) text += `.${part === "listener" ? value.replaceAll(":", "_") : value}`;
  }
  for (const label of Object.keys(labels).sort()) if (!KNOWN.has(label)) text += `.${label}.${labels[label]}`;
  return text;
}

export interface PrometheusName {
  /** "envoy_cluster_upstream_rq_xx" */
  readonly name: string;
  readonly labels: Labels;
}

// "upstream_rq_2xx" is the series of class 2 of "upstream_rq_xx"; "upstream_rq_200" that of code 200 of "upstream_rq".
const CLASS = /_([1-5])xx$/;
const CODE = /_([1-5]\d\d)$/;

export function prometheusName(name: string, labels: Labels): PrometheusName {
  const family = `envoy_${name.replaceAll(/[^a-zA-Z0-9_]/g, "_")}`;
  const ofClass = CLASS.exec(family);
  if (ofClass !== null) {
    return { name: family.replace(CLASS, "_xx"), labels: { ...labels, envoy_response_code_class: ofClass[1]! } };
  }
  const ofCode = CODE.exec(family);
  if (ofCode !== null)
    return { name: family.replace(CODE, ""), labels: { ...labels, envoy_response_code: ofCode[1]! } };
  return { name: family, labels };
}
