import { isIP, connect as netConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { type Clock, err, ok, type Result } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import { clientCredentials, hostRule, type TlsClientSettings } from "@heddle/net";
import {
  type Address,
  type ClusterConfig,
  clientTlsSettings,
  type EndpointConfig,
  type UpstreamTlsConfig,
  withSecrets,
} from "@heddle/traffic";
import type { buildConnector } from "undici";
// These parts alone: all of undici (fetch, WebSocket, caches) takes 6.8 MB and 217 ms to load, this 1.9 MB and 28 ms.
import request from "undici/lib/api/api-request.js";
import Client from "undici/lib/dispatcher/client.js";
import { MAX_JWKS_BYTES } from "../../traffic/filter/jwt/read-jwks.ts";
import type { RemoteJwks } from "../../traffic/filter/jwt/remote-jwks.ts";
import { bareHost, fitsMatch, matchWish, serverNameOf, verifiedNameOf } from "../../traffic/upstream/tls-names.ts";

/** Loaded when the first set of keys is fetched: undici is no part of a sidecar that fetches none. */

export interface JwksDirectory {
  /** The configuration that is served: a source names one of its clusters. */
  readonly config: () => ProxyConfig;
  readonly clock: Clock;
  /** 0 to below 1. */
  readonly random: () => number;
}

/**
 * Asks a source for its keys, once. The cluster says where to and how (endpoints, TLS), the URI what to ask for and under which name.
 * Redirections are not followed: they would lead away from the cluster. What an answer holds is in no error.
 */
export async function fetchJwks(source: RemoteJwks, directory: JwksDirectory): Promise<Result<string, string>> {
  const way = findWay(source, directory);
  if (!way.ok) return way;
  const { clock } = directory;
  const url = new URL(source.uri);
  const ended = new AbortController();
  const timer = clock.after(source.timeoutMs, () => ended.abort(), true);
  let client: Client | undefined;
  try {
    const connect = connector(way.value, url, clock);
    const isHttp2 = way.value.cluster.upstreamProtocol === "http2";
    client = new Client(url.origin, {
      connect,
      maxResponseSize: MAX_JWKS_BYTES,
      allowH2: isHttp2,
      ...(isHttp2 && way.value.tls === undefined && { useH2c: true }),
    });
    const { statusCode, headers, body } = await request.call(client, {
      method: "GET",
      path: `${url.pathname}${url.search}`,
      headers: { accept: "application/json", "user-agent": "heddle" },
      signal: ended.signal,
    });
    if (statusCode !== 200) return err(`the answer is ${statusCode}`);
    const { "content-encoding": encoding = "identity" } = headers;
    if (encoding !== "identity") return err(`the answer is encoded as ${String(encoding)}, which was not asked for`);
    return ok(await body.text());
  } catch (error) {
    if (ended.signal.aborted) return err(`no answer within ${source.timeoutMs} ms`);
    return err(error instanceof Error ? error.message : String(error));
  } finally {
    timer.cancel();
    void client?.destroy();
  }
}

interface Way {
  readonly cluster: ClusterConfig;
  readonly endpoint: EndpointConfig;
  readonly tls: UpstreamTlsConfig | undefined;
}

/** An endpoint of the highest priority that has any, and its transport. */
function findWay({ cluster: name }: RemoteJwks, { config, random }: JwksDirectory): Result<Way, string> {
  const { clusters, endpoints, secrets } = config();
  const cluster = clusters.get(name);
  if (cluster === undefined) return err(`there is no cluster "${name}"`);
  const localities = (endpoints.get(name)?.localities ?? []).toSorted((a, b) => a.priority - b.priority);
  const usable = localities
    .map(({ endpoints: all }) =>
      all.filter(({ healthStatus }) => healthStatus === "UNKNOWN" || healthStatus === "HEALTHY"),
    )
    .find((all) => all.length > 0);
  const endpoint = usable?.[Math.floor(random() * usable.length)];
  if (endpoint === undefined) return err(`cluster "${name}" has no endpoints`);
  const tls = transportOf(cluster, endpoint);
  const complete = tls && withSecrets(tls, (key) => secrets.get(key));
  if (tls !== undefined && complete === undefined) return err(`the secrets of cluster "${name}" have not come`);
  return ok({ cluster, endpoint, tls: complete });
}

/** As for requests: the first match that the endpoint's metadata fits, else the cluster's own. */
function transportOf(cluster: ClusterConfig, endpoint: EndpointConfig): UpstreamTlsConfig | undefined {
  const fitting = cluster.transportSocketMatches?.find((one) => fitsMatch(endpoint, matchWish(one)));
  return fitting === undefined ? cluster.tls : fitting.tls;
}

/** Throws what OpenSSL throws at a configuration that it does not take. */
function connector({ cluster, endpoint, tls }: Way, url: URL, clock: Clock): buildConnector.connector {
  const target = targetOf(endpoint.address);
  const { sniFromRequest } = cluster;
  const host = bareHost(url.host);
  const serverName = tls === undefined ? "" : serverNameOf(tls, sniFromRequest, endpoint, host);
  const settings = tls && clientTlsSettings(tls);
  const verified = tls && verifiedNameOf(tls, sniFromRequest, serverName, host);
  const credentials =
    settings &&
    clientCredentials(verified === undefined ? settings : withName(settings, verified), () => clock.wallNow());
  return (_, callback) => {
    const socket =
      credentials === undefined
        ? netConnect(target)
        : tlsConnect({
            ...target,
            ...credentials,
            ...(isIP(serverName) === 0 && { servername: serverName }), // RFC 6066 §3: an address is no name
            ALPNProtocols: cluster.upstreamProtocol === "http2" ? ["h2"] : ["http/1.1"],
          });
    const failed = (error: Error): void => callback(error, null);
    socket.once("error", failed);
    socket.once(credentials === undefined ? "connect" : "secureConnect", () => {
      socket.off("error", failed);
      callback(null, socket);
    });
  };
}

function targetOf(address: Address): { readonly host: string; readonly port: number } | { readonly path: string } {
  return address.type === "socket" ? { host: address.address, port: address.port } : { path: address.path };
}

function withName(settings: TlsClientSettings, host: string): TlsClientSettings {
  return { ...settings, rules: { ...settings.rules, names: [hostRule(host)] } };
}
