import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer as createHttp2Server } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import { TestAuthority } from "@heddle/net/testing";
import type { ClusterConfig, DataConfig, EndpointsConfig, UpstreamTlsConfig } from "@heddle/traffic";
import type { RemoteJwks } from "../../traffic/filter/jwt/remote-jwks.ts";
import { clusterConfig, endpointsConfig } from "../../traffic/http/testing-config.ts";
import { fetchJwks } from "./fetch-jwks.ts";

const authority = new TestAuthority();
const certificate = authority.issue({ dns: ["issuer.example"], ips: ["127.0.0.1", "::1"] });
const tls = {
  key: certificate.key,
  cert: certificate.chain,
  SNICallback: (name: string, done: (error: null) => void) => {
    names.push(name);
    done(null);
  },
};

/** What the issuer has been asked: protocol, host and target. */
const asked: string[] = [];
/** Which names it has been asked for in handshakes. */
const names: string[] = [];
const servers: Server[] = [];

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { httpVersion, headers, url = "" } = request;
  asked.push(`${httpVersion} ${headers.host ?? String(headers[":authority"])} ${url}`);
  if (url === "/moved") response.writeHead(302, { location: "/keys" }).end();
  else if (url === "/packed") response.writeHead(200, { "content-encoding": "gzip" }).end("x");
  else if (url === "/endless") response.end("x".repeat(1024 * 1024 + 1));
  else if (url !== "/never") response.end("the keys");
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

let plain = 0;
let secure = 0;
let http2 = 0;
before(async () => {
  plain = await listen(createServer(answer));
  secure = await listen(createHttpsServer(tls, answer));
  http2 = await listen(createHttp2Server(tls, answer as never));
});
after(() => {
  for (const server of servers) {
    (server as { closeAllConnections?: () => void }).closeAllConnections?.();
    server.close();
  }
});

function inline(text: string): DataConfig {
  return { source: "inline_string", name: "", content: text };
}

/** Envoy's context, trusting that authority. */
function trusting(
  ca: TestAuthority,
  names: readonly string[],
  more: Partial<UpstreamTlsConfig> = {},
): UpstreamTlsConfig {
  return {
    common: {
      params: {
        minimumVersion: "TLS_AUTO",
        maximumVersion: "TLS_AUTO",
        cipherSuites: [],
        ecdhCurves: [],
        signatureAlgorithms: [],
      },
      certificates: [],
      validation: {
        trustedCa: inline(ca.certificate),
        systemRoots: false,
        crl: undefined,
        sanMatchers: names.map((value) => ({
          type: "DNS" as const,
          matcher: { type: "exact" as const, value, ignoreCase: false },
          oid: "",
        })),
        spkiHashes: [],
        certificateHashes: [],
        trustChainVerification: "VERIFY_TRUST_CHAIN",
      },
      alpnProtocols: [],
    },
    sni: "issuer.example",
    autoHostSni: false,
    autoSniSanValidation: false,
    maxSessionKeys: 1,
    ...more,
  };
}

interface Wish {
  readonly authority?: string;
  readonly path?: string;
  readonly cluster?: Partial<ClusterConfig>;
  readonly endpoints?: EndpointsConfig;
  readonly timeoutMs?: number;
}

async function fetched(
  port: number,
  {
    authority: host = "issuer.example:8443",
    path = "/keys?a=b",
    cluster = {},
    endpoints,
    timeoutMs = 20_000,
  }: Wish = {},
): Promise<string> {
  const source: RemoteJwks = {
    cluster: "issuer",
    uri: `https://${host}${path}`,
    timeoutMs,
    cacheMs: 1,
    failedRefetchMs: 1,
    retries: { count: 0, baseMs: 1, maxMs: 1 },
  };
  const config = {
    clusters: new Map([["issuer", clusterConfig("issuer", cluster)]]),
    endpoints: new Map([["issuer", endpoints ?? endpointsConfig("issuer", [`127.0.0.1:${port}`])]]),
    secrets: new Map(),
  } as unknown as ProxyConfig;
  const result = await fetchJwks(source, { config: () => config, clock: systemClock, random: () => 0 });
  return result.ok ? result.value : `error: ${result.error}`;
}

describe("a set of keys is fetched", () => {
  test("from an endpoint of the cluster, by the name and path of the URI", async () => {
    assert.equal(await fetched(plain), "the keys");
    assert.deepEqual(asked.splice(0), ["1.1 issuer.example:8443 /keys?a=b"]);
  });

  test("by TLS where the cluster has it, from nobody else than whom it trusts", async () => {
    assert.equal(await fetched(secure, { cluster: { tls: trusting(authority, ["issuer.example"]) } }), "the keys");
    asked.length = 0;
    const stranger = trusting(new TestAuthority(), []);
    assert.match(await fetched(secure, { cluster: { tls: stranger } }), /^error: certificate/);
    const other = trusting(authority, ["other.example"]);
    assert.match(await fetched(secure, { cluster: { tls: other } }), /^error: /);
    const named = trusting(authority, [], { sni: "wrong.example", autoSniSanValidation: true });
    assert.match(await fetched(secure, { cluster: { tls: named } }), /^error: /);
    const byHost = {
      tls: trusting(authority, [], { sni: "" }),
      sniFromRequest: { autoSni: true, autoSanValidation: true, overrideHeader: "" },
    };
    assert.equal(await fetched(secure, { cluster: byHost }), "the keys");
    assert.equal(asked.splice(0).length, 1, "the others were asked nothing");
    assert.match(await fetched(plain, { cluster: { tls: trusting(authority, []) } }), /^error: /);
  });

  test("by TLS from an address, which is verified and not asked for by name, without IPv6's brackets", async () => {
    const byHost = {
      tls: trusting(authority, [], { sni: "" }),
      sniFromRequest: { autoSni: true, autoSanValidation: true, overrideHeader: "" },
    };
    names.length = 0;
    for (const host of ["127.0.0.1", "127.0.0.1:8443", "[::1]", "[::1]:8443"])
      assert.equal(await fetched(secure, { authority: host, cluster: byHost }), "the keys", host);
    assert.deepEqual(names, []);
    for (const host of ["127.0.0.2", "[::2]"])
      assert.match(await fetched(secure, { authority: host, cluster: byHost }), /^error: /, host);
    const fixed = { ...byHost, tls: trusting(authority, [], { sni: "fixed.example" }) };
    assert.equal(await fetched(secure, { authority: "[::1]", cluster: fixed }), "the keys");
    assert.deepEqual(names, ["fixed.example"]);
    asked.length = 0;
  });

  test("by the transport that fits the endpoint", async () => {
    const match = { name: "mesh", match: { tlsMode: "heddle" }, tls: trusting(authority, ["issuer.example"]) };
    const cluster = { transportSocketMatches: [match] };
    const set = endpointsConfig("issuer", [`127.0.0.1:${secure}`]);
    const [locality] = set.localities;
    const meshed = {
      ...set,
      localities: [
        {
          ...locality!,
          endpoints: locality!.endpoints.map((one) => ({
            ...one,
            metadata: { "envoy.transport_socket_match": { tlsMode: "heddle" } },
          })),
        },
      ],
    };
    assert.equal(await fetched(secure, { cluster, endpoints: meshed }), "the keys");
    assert.equal(await fetched(plain, { cluster }), "the keys");
  });

  test("by HTTP/2 where the cluster speaks it", async () => {
    asked.length = 0;
    const cluster = { upstreamProtocol: "http2" as const, tls: trusting(authority, ["issuer.example"]) };
    assert.equal(await fetched(http2, { cluster }), "the keys");
    assert.deepEqual(asked.splice(0), ["2.0 issuer.example:8443 /keys?a=b"]);
  });

  test("and is no set where the answer is another one, leads elsewhere, is packed, endless or never comes", async () => {
    assert.equal(await fetched(plain, { path: "/moved" }), "error: the answer is 302");
    assert.match(await fetched(plain, { path: "/packed" }), /^error: the answer is encoded as gzip/);
    assert.match(await fetched(plain, { path: "/endless" }), /^error: .*exceeded/i);
    assert.equal(await fetched(plain, { path: "/never", timeoutMs: 50 }), "error: no answer within 50 ms");
    assert.match(await fetched(1), /^error: .*ECONNREFUSED/);
    assert.equal(
      await fetched(1, { endpoints: endpointsConfig("issuer", []) }),
      'error: cluster "issuer" has no endpoints',
    );
  });

  test("from no cluster that is not there", async () => {
    const config = { clusters: new Map(), endpoints: new Map(), secrets: new Map() } as unknown as ProxyConfig;
    const source = {
      cluster: "gone",
      uri: "http://a/",
      timeoutMs: 1,
      cacheMs: 1,
      failedRefetchMs: 1,
      retries: { count: 0, baseMs: 1, maxMs: 1 },
    };
    const clock = new ManualClock();
    const result = await fetchJwks(source, { config: () => config, clock, random: () => 0 });
    assert.deepEqual(result, { ok: false, error: 'there is no cluster "gone"' });
    assert.equal(clock.pending, 0);
  });
});
