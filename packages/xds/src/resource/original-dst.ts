import type { OriginalDstDiscovery } from "@heddle/traffic";
import { duration, type LooseJsonObject, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

/* Clusters of type ORIGINAL_DST (`Cluster.OriginalDstLbConfig`). */

const CLEANUP_INTERVAL_MS = 5000;
const HEADER = "x-envoy-original-dst-host";

export function decodeOriginalDst(fields: Fields): OriginalDstDiscovery {
  for (const field of ["load_assignment", "eds_cluster_config"])
    if (fields.has(field)) fields.fail(field, "excludes type ORIGINAL_DST");
  const config = fields.message("original_dst_lb_config");
  const headerName = config?.text("http_header_name") ?? "";
  const usesHeader = config?.flag("use_http_header") ?? false;
  // As in Envoy: whoever names a header wants it read.
  if (headerName !== "" && !usesHeader) config?.fail("http_header_name", "has no effect without use_http_header: true");
  const httpHeaderName = usesHeader ? (headerName === "" ? HEADER : headerName).toLowerCase() : undefined;
  const upstreamPortOverride = config?.wrappedNumber("upstream_port_override", undefined);
  const key = config?.message("metadata_key");
  const metadataKey = key && {
    namespace: key.text("key"),
    path: key.messages("path").map((segment) => segment.text("key")),
  };
  return {
    type: "ORIGINAL_DST",
    cleanupIntervalMs: fields.durationMs("cleanup_interval", CLEANUP_INTERVAL_MS),
    ...(httpHeaderName !== undefined && { httpHeaderName }),
    ...(metadataKey && { metadataKey }),
    ...(upstreamPortOverride !== undefined && { upstreamPortOverride }),
  };
}

export function encodeOriginalDst(discovery: OriginalDstDiscovery): LooseJsonObject {
  const { cleanupIntervalMs, httpHeaderName, metadataKey, upstreamPortOverride } = discovery;
  const config = {
    ...(httpHeaderName !== undefined && {
      use_http_header: true,
      http_header_name: unless(HEADER, httpHeaderName),
    }),
    ...(metadataKey && {
      metadata_key: { key: metadataKey.namespace, path: metadataKey.path.map((key) => ({ key })) },
    }),
    ...(upstreamPortOverride !== undefined && { upstream_port_override: upstreamPortOverride }),
  };
  return {
    type: "ORIGINAL_DST",
    cleanup_interval: cleanupIntervalMs === CLEANUP_INTERVAL_MS ? undefined : duration(cleanupIntervalMs),
    original_dst_lb_config: Object.keys(config).length === 0 ? undefined : config,
  };
}
