import { isIP } from "node:net";
import { type ClusterConfig, type EndpointConfig, portStart, type UpstreamTlsConfig } from "@heddle/traffic";

/* Which transport an endpoint is spoken to by, and whom TLS asks for. Pure, for requests and for what the control thread asks. */

type TransportMatch = NonNullable<ClusterConfig["transportSocketMatches"]>[number];

/** What a match asks of an endpoint's metadata: names, and values as JSON. */
export type MatchWish = readonly (readonly [name: string, value: string])[];

export function matchWish({ match }: Pick<TransportMatch, "match">): MatchWish {
  return Object.entries(match).map(([name, value]) => [name, JSON.stringify(value)] as const);
}

/** Whether an endpoint's metadata has all of that (`transport_socket_matches`). */
export function fitsMatch({ metadata }: Pick<EndpointConfig, "metadata">, wish: MatchWish): boolean {
  const told = metadata[MATCH_NAMESPACE] ?? {};
  return wish.every(([name, value]) => Object.hasOwn(told, name) && JSON.stringify(told[name]) === value);
}

/** Where an endpoint's metadata says which transport it wants. */
const MATCH_NAMESPACE = "envoy.transport_socket_match";

/**
 * In Envoy's order: the request's host, the endpoint's name, the configured one. `host`: see `bareHost`; left out: no
 * request is known.
 */
export function serverNameOf(
  tls: Pick<UpstreamTlsConfig, "autoHostSni" | "sni">,
  fromRequest: ClusterConfig["sniFromRequest"],
  { hostname }: Pick<EndpointConfig, "hostname">,
  host: string | undefined,
): string {
  if (fromRequest?.autoSni === true && host !== undefined && host !== "" && isIP(host) === 0) return host;
  return tls.autoHostSni && hostname !== "" ? hostname : tls.sni;
}

/** The one name or address that the certificate has to stand for; undefined: the configured rules hold. */
export function verifiedNameOf(
  tls: Pick<UpstreamTlsConfig, "autoSniSanValidation">,
  fromRequest: ClusterConfig["sniFromRequest"],
  serverName: string,
  host: string | undefined,
): string | undefined {
  if (fromRequest?.autoSanValidation === true && host !== undefined) return host;
  return tls.autoSniSanValidation ? serverName : undefined;
}

/** Of an authority: without its port, an IPv6 address without brackets, a name in lower case. */
export function bareHost(authority: string): string {
  const port = portStart(authority);
  const bare = port === -1 ? authority : authority.slice(0, port);
  return bare.startsWith("[") ? bare.slice(1, -1) : bare.toLowerCase();
}
