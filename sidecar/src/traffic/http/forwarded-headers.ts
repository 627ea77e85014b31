import { isIP } from "node:net";
import type { DownstreamInfo } from "@heddle/filter";
import type { RequestHead } from "@heddle/http";

/** The fields of the connection manager that say whom to believe about where a request came from. */
export interface ForwardedOptions {
  readonly useRemoteAddress: boolean;
  readonly xffNumTrustedHops: number;
  readonly skipXffAppend: boolean;
}

/**
 * Finds the client's address, and brings `x-forwarded-for`, `x-forwarded-proto` and `x-envoy-*` in order, as Envoy does
 * (config/http_conn_man/headers#x-forwarded-for). Returns the connection's own description where the address is that of
 * the peer.
 *
 * - At the edge (`useRemoteAddress`) the peer is believed to be who it is, and is appended; with trusted hops the address
 *   that the outermost of them has appended is the client.
 * - Inside, what the hop before us has appended is believed and left alone.
 */
export function readForwarded(
  head: RequestHead,
  options: ForwardedOptions,
  downstream: DownstreamInfo,
): DownstreamInfo {
  const { headers } = head;
  removeInternal(headers.fields, options.useRemoteAddress);
  const forwardedFor = headers.joined("x-forwarded-for");
  if (!options.useRemoteAddress) {
    if (!headers.has("x-forwarded-proto")) headers.append("x-forwarded-proto", head.scheme);
    return withAddress(downstream, addressFromEnd(forwardedFor, options.xffNumTrustedHops));
  }
  const hops = options.xffNumTrustedHops;
  const client = hops === 0 ? undefined : addressFromEnd(forwardedFor, hops - 1);
  if (!options.skipXffAppend && downstream.directRemoteAddress !== "") {
    const peer = downstream.directRemoteAddress;
    headers.set("x-forwarded-for", forwardedFor === undefined ? peer : `${forwardedFor},${peer}`);
  }
  if (hops === 0 || !headers.has("x-forwarded-proto")) headers.set("x-forwarded-proto", head.scheme);
  return withAddress(downstream, client);
}

/**
 * Headers by which a caller inside the mesh steers a proxy. Nobody is known to be inside before identities are checked,
 * so they are taken from everybody (Envoy's `ConnectionManagerUtility::cleanInternalHeaders`).
 */
const INTERNAL: ReadonlySet<string> = new Set([
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-internal",
  "x-envoy-ip-tags",
  "x-envoy-max-retries",
  "x-envoy-original-url",
  "x-envoy-retriable-header-names",
  "x-envoy-retriable-status-codes",
  "x-envoy-retry-grpc-on",
  "x-envoy-retry-on",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-rq-timeout-ms",
]);

const INTERNAL_AT_EDGE: ReadonlySet<string> = new Set([
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
]);

function removeInternal(fields: string[], atEdge: boolean): void {
  let kept = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!; // names stand at even places
    if (name.startsWith("x-envoy-") && (INTERNAL.has(name) || (atEdge && INTERNAL_AT_EDGE.has(name)))) continue;
    if (kept !== i) {
      fields[kept] = name;
      fields[kept + 1] = fields[i + 1]!;
    }
    kept += 2;
  }
  if (kept !== fields.length) fields.length = kept;
}

/** The address that stands `fromEnd` places before the last one. Undefined: there are not that many, or it is none. */
function addressFromEnd(list: string | undefined, fromEnd: number): string | undefined {
  if (list === undefined) return undefined;
  let end = list.length;
  for (let i = 0; i < fromEnd; i++) {
    end = list.lastIndexOf(",", end - 1);
    if (end <= 0) return undefined;
  }
  const address = list.slice(list.lastIndexOf(",", end - 1) + 1, end).trim();
  return isIP(address) === 0 ? undefined : address;
}

function withAddress(downstream: DownstreamInfo, address: string | undefined): DownstreamInfo {
  if (address === undefined || address === downstream.remoteAddress) return downstream;
  return { ...downstream, remoteAddress: address, remotePort: 0 };
}
