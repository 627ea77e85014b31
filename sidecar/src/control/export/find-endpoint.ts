import { err, ok, type Result } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import type { OtlpEndpoint } from "@heddle/telemetry/otlp";
import type { Address, OtlpDestination } from "@heddle/traffic";
import { grpcTarget } from "../grpc-target.ts";

/** Where a receiver is now, and what to tell it about the way. */
export interface FoundEndpoint {
  readonly endpoint: OtlpEndpoint;
  readonly headers: Readonly<Record<string, string>>;
}

/** The addresses of a cluster: resolved ones where they are known, those of the highest priority first. */
export function clusterAddresses(config: ProxyConfig, name: string): Result<readonly Address[], string> {
  const cluster = config.clusters.get(name);
  if (cluster === undefined) return err(`there is no cluster "${name}"`);
  const assignment = config.endpoints.get(name);
  const addresses = (assignment?.localities ?? [])
    .toSorted((a, b) => a.priority - b.priority)
    .flatMap(({ endpoints }) => endpoints)
    .filter(({ healthStatus }) => healthStatus === "UNKNOWN" || healthStatus === "HEALTHY")
    .map(({ address }) => address);
  return addresses.length === 0 ? err(`cluster "${name}" has no endpoints`) : ok(addresses);
}

/** The control thread exports by itself, so a cluster stands for its endpoints alone. */
export function findEndpoint(config: ProxyConfig, destination: OtlpDestination): Result<FoundEndpoint, string> {
  const headers = Object.fromEntries(destination.headers);
  const { protocol, target, uri } = destination;
  if (protocol === "grpc") {
    if (target.type === "address") return ok({ endpoint: { protocol, target: target.address, tls: false }, headers });
    const addresses = clusterAddresses(config, target.name);
    if (!addresses.ok) return addresses;
    const found = grpcTarget(`the cluster "${target.name}"`, addresses.value);
    return found.ok ? ok({ endpoint: { protocol, target: found.value, tls: false }, headers }) : found;
  }
  if (target.type === "address") return ok({ endpoint: { protocol, url: uri }, headers });
  const addresses = clusterAddresses(config, target.name);
  if (!addresses.ok) return addresses;
  const url = urlAt(uri, addresses.value);
  return url === undefined
    ? err(`the cluster "${target.name}" has Unix sockets alone, to which OTLP over HTTP is not sent`)
    : // The cluster says where to, the URI what to ask for.
      ok({ endpoint: { protocol, url }, headers: { host: new URL(uri).host, ...headers } });
}

export function urlAt(uri: string, addresses: readonly Address[]): string | undefined {
  const address = addresses.find((one) => one.type === "socket");
  if (address === undefined) return undefined;
  const { pathname, search } = new URL(uri);
  const host = address.address.includes(":") ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}${pathname}${search}`;
}
