import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { TestAuthority } from "@heddle/net/testing";
import { type Json, router, tcpProxy } from "../harness/envoy-config.ts";
import { askAs, asUid, firstWordsAs } from "../harness/other-user.ts";
import { inOwnNetwork, ip, nft } from "../harness/own-network.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/*
 * Two sidecars as Kuma and Consul configure them in pods (listeners and clusters in the shape of their control planes' golden
 * files), with redirected connections: `web` calls `db` by a virtual address that nobody has, by mutual TLS with SPIFFE IDs. Both
 * pods stand in one network namespace, told by users: 10.3.0.1 is web's pod, 10.3.0.2 is db's.
 */

const WEB = { uid: 54331, app: asUid(54331) };
const EXT = "type.googleapis.com/envoy.extensions";
const VIRTUAL = "240.0.0.1";

const address = (text: string, port: number): Json => ({ socket_address: { address: text, port_value: port } });
const filter = (name: string, config: Json = {}): Json => ({
  name,
  typed_config: { "@type": `${EXT}.filters.${name}`, ...config },
});
const tls = (context: "DownstreamTlsContext" | "UpstreamTlsContext", config: Json): Json => ({
  name: "envoy.transport_sockets.tls",
  typed_config: { "@type": `${EXT}.transport_sockets.tls.v3.${context}`, ...config },
});
const assignment = (cluster_name: string, host: string, port: number): Json => ({
  cluster_name,
  endpoints: [{ lb_endpoints: [{ endpoint: { address: address(host, port) } }] }],
});

/** An identity as Consul sends it: inline, with the roots. */
function identity(authority: TestAuthority, id: string): Json {
  const { chain, key } = authority.issue({ commonName: "", uris: [id] });
  return {
    tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
    validation_context: { trusted_ca: { inline_string: authority.certificate } },
    tls_params: {},
  };
}

if (inOwnNetwork(import.meta.filename)) {
  before(() => {
    ip("link set lo up");
    for (const one of ["10.3.0.1/32", "10.3.0.2/32"]) ip(`addr add ${one} dev lo`);
    ip(`route add local ${VIRTUAL}/32 dev lo`);
    nft(`table inet heddle {
      chain output { type nat hook output priority -100;
        meta skuid ${WEB.uid} meta l4proto tcp ip daddr 10.3.0.2 tcp dport 8080 redirect to :15006
        meta skuid ${WEB.uid} meta l4proto tcp redirect to :15001
      }
    }`);
  });

  describe("a sidecar configured as Consul does with transparent proxying", () => {
    const owner = lastFirst({ after });
    const authority = new TestAuthority();
    const spiffe = (service: string): string => `spiffe://11111111-2222.consul/ns/default/dc/dc1/svc/${service}`;

    before(async () => {
      await listen(
        owner,
        createServer((socket) => socket.on("error", ignore).end("220 db")),
        "127.0.0.1",
        5432,
      );
      await listen(
        owner,
        createServer((socket) => socket.on("error", ignore).end("220 elsewhere")),
        "10.3.0.2",
        2525,
      );
      await startSidecar({ static_resources: consulDb(authority, spiffe) }, owner);
      await startSidecar({ static_resources: consulWeb(authority, spiffe, "web") }, owner);
    });

    test("reaches a service by its virtual address, with inline certificates, and the server speaks first", async () => {
      assert.equal(await firstWordsAs(WEB.app, VIRTUAL, 5432), "220 db");
    });

    test("passes on what is no service", async () => {
      assert.equal(await firstWordsAs(WEB.app, "10.3.0.2", 2525), "220 elsewhere");
    });
  });

  describe("sidecars configured as Kuma does with transparent proxying", () => {
    const owner = lastFirst({ after });
    const authority = new TestAuthority();
    let web: SidecarProcess;

    before(async () => {
      await listen(
        owner,
        createHttpServer((request, response) =>
          response.end(`${request.headers.host} from ${request.socket.remoteAddress}`),
        ),
        "10.3.0.2",
        8080,
      );
      await listen(
        owner,
        createHttpServer((_, response) => response.end("no service")),
        "10.3.0.1",
        9090,
      );
      web = await startSidecar({ static_resources: kuma(authority) }, owner);
    });

    test("route a service's virtual address by HTTP, to the inbound listener of its pod, by mutual TLS", async () => {
      assert.equal(await askAs(WEB.app, `http://${VIRTUAL}/`), `${VIRTUAL} from 127.0.0.6`);
      assert.equal(await web.stat("listener.10.3.0.2_18080.downstream_cx_total"), 1);
      // The inbound listener takes nobody without a certificate, and has no chain for plaintext.
      assert.equal(await askAs(WEB.app, "http://10.3.0.2:8080/"), "closed");
    });

    test("pass on what is no service, outbound and inbound", async () => {
      assert.equal(await askAs(WEB.app, "http://10.3.0.1:9090/"), "no service");
    });
  });
}

function ignore(): void {}

async function listen(owner: Owner, server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
  owner.after(() => server.close());
}

function consulWeb(authority: TestAuthority, spiffe: (service: string) => string, service: string): Json {
  const common_tls_context = identity(authority, spiffe(service)) as { readonly validation_context: Json };
  const sni = "db.default.dc1.internal.11111111-2222.consul";
  return {
    listeners: [
      {
        name: "outbound_listener:127.0.0.1:15001",
        address: address("127.0.0.1", 15001),
        filter_chains: [
          {
            filter_chain_match: {
              prefix_ranges: [
                { address_prefix: "10.0.0.1", prefix_len: 32 },
                { address_prefix: VIRTUAL, prefix_len: 32 },
              ],
            },
            filters: [tcpProxy({ cluster: sni, stat_prefix: "upstream.db.default.default.dc1" })],
          },
        ],
        default_filter_chain: {
          filters: [tcpProxy({ cluster: "original-destination", stat_prefix: "upstream.original-destination" })],
        },
        listener_filters: [filter("listener.original_dst.v3.OriginalDst")],
        traffic_direction: "OUTBOUND",
      },
    ],
    clusters: [
      { name: "original-destination", type: "ORIGINAL_DST", connect_timeout: "5s", lb_policy: "CLUSTER_PROVIDED" },
      {
        name: sni,
        alt_stat_name: sni,
        type: "STATIC",
        load_assignment: assignment(sni, "10.3.0.2", 20000),
        common_lb_config: { healthy_panic_threshold: {} },
        connect_timeout: "5s",
        circuit_breakers: {},
        outlier_detection: {},
        transport_socket: tls("UpstreamTlsContext", {
          sni,
          common_tls_context: {
            ...common_tls_context,
            validation_context: {
              ...common_tls_context.validation_context,
              match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: spiffe("db") } }],
            },
          },
        }),
      },
    ],
  };
}

function consulDb(authority: TestAuthority, spiffe: (service: string) => string): Json {
  const intention = {
    "consul-intentions-layer4": {
      permissions: [{ any: true }],
      principals: [
        {
          authenticated: {
            principal_name: { safe_regex: { google_re2: {}, regex: `^${spiffe("web").replaceAll(".", "\\.")}$` } },
          },
        },
      ],
    },
  };
  return {
    listeners: [
      {
        name: "public_listener:10.3.0.2:20000",
        address: address("10.3.0.2", 20000),
        filter_chains: [
          {
            filters: [
              filter("network.rbac.v3.RBAC", { stat_prefix: "connect_authz", rules: { policies: intention } }),
              tcpProxy({ cluster: "local_app", stat_prefix: "public_listener" }),
            ],
            transport_socket: tls("DownstreamTlsContext", {
              require_client_certificate: true,
              common_tls_context: identity(authority, spiffe("db")),
            }),
          },
        ],
        traffic_direction: "INBOUND",
      },
    ],
    clusters: [
      {
        name: "local_app",
        type: "STATIC",
        connect_timeout: "5s",
        load_assignment: assignment("local_app", "127.0.0.1", 5432),
      },
    ],
  };
}

function kuma(authority: TestAuthority): Json {
  const secret = (name: string, service: string): Json => {
    const { chain, key } = authority.issue({ commonName: "", uris: [`spiffe://default/${service}`] });
    return {
      name,
      tls_certificate: { certificate_chain: { inline_string: chain }, private_key: { inline_string: key } },
    };
  };
  const common = (own: string, who: Json): Json => ({
    tls_certificate_sds_secret_configs: [{ name: own }],
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: [{ san_type: "URI", matcher: who }] },
      validation_context_sds_secret_config: { name: "mesh_ca:secret:default" },
    },
  });
  const manager = (cluster: string): Json =>
    filter("network.http_connection_manager.v3.HttpConnectionManager", {
      stat_prefix: cluster,
      route_config: {
        name: `route:${cluster}`,
        validate_clusters: false,
        virtual_hosts: [
          { name: cluster, domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster, timeout: "0s" } }] },
        ],
      },
      http_filters: [router],
    });
  const virtual = (name: string, port: number, cluster: string, traffic_direction: string): Json => ({
    name,
    address: address("0.0.0.0", port),
    use_original_dst: true,
    traffic_direction,
    filter_chains: [{ filters: [tcpProxy({ cluster, stat_prefix: cluster.replaceAll(":", "_") })] }],
  });
  const passthrough = (name: string, more: Json = {}): Json => ({
    name,
    alt_stat_name: name.replaceAll(":", "_"),
    type: "ORIGINAL_DST",
    lb_policy: "CLUSTER_PROVIDED",
    connect_timeout: "5s",
    ...more,
  });
  const from = { upstream_bind_config: { source_address: { address: "127.0.0.6", port_value: 0 } } };
  const inbound = (port: number, bound: Json): Json => ({
    name: `inbound:10.3.0.2:${port}`,
    address: address("10.3.0.2", port),
    traffic_direction: "INBOUND",
    enable_reuse_port: false,
    ...bound,
    filter_chains: [
      {
        filters: [
          filter("network.rbac.v3.RBAC", {
            stat_prefix: "inbound_10_3_0_2_8080.",
            matcher: {
              matcher_list: {
                matchers: [
                  {
                    predicate: {
                      single_predicate: {
                        input: {
                          name: "envoy.matching.inputs.uri_san",
                          typed_config: { "@type": `${EXT}.matching.common_inputs.ssl.v3.UriSanInput` },
                        },
                        value_match: { exact: "spiffe://default/web" },
                      },
                    },
                    on_match: { action: rbacAction("ALLOW") },
                  },
                ],
              },
              on_no_match: { action: rbacAction("DENY") },
            },
          }),
          manager("localhost:8080"),
        ],
        transport_socket: tls("DownstreamTlsContext", {
          require_client_certificate: true,
          common_tls_context: common("identity_cert:secret:db", { prefix: "spiffe://default/" }),
        }),
      },
    ],
  });
  return {
    secrets: [
      secret("identity_cert:secret:web", "web"),
      secret("identity_cert:secret:db", "db"),
      { name: "mesh_ca:secret:default", validation_context: { trusted_ca: { inline_string: authority.certificate } } },
    ],
    listeners: [
      virtual("outbound:passthrough:ipv4", 15001, "outbound:passthrough:ipv4", "OUTBOUND"),
      virtual("inbound:passthrough:ipv4", 15006, "inbound:passthrough:ipv4", "INBOUND"),
      {
        name: `outbound:${VIRTUAL}:80`,
        address: address(VIRTUAL, 80),
        bind_to_port: false,
        traffic_direction: "OUTBOUND",
        filter_chains: [{ filters: [manager("db")] }],
      },
      // Redirected ones; and, in place of the other pod's own rules, one with a port for the call that comes from here.
      inbound(8080, { bind_to_port: false }),
      inbound(18080, {}),
    ],
    clusters: [
      passthrough("outbound:passthrough:ipv4"),
      passthrough("inbound:passthrough:ipv4", from),
      {
        name: "localhost:8080",
        alt_stat_name: "localhost_8080",
        type: "STATIC",
        connect_timeout: "10s",
        load_assignment: assignment("localhost:8080", "10.3.0.2", 8080),
        ...from,
      },
      {
        name: "db",
        type: "STATIC",
        connect_timeout: "5s",
        load_assignment: assignment("db", "10.3.0.2", 18080),
        transport_socket: tls("UpstreamTlsContext", {
          sni: "db{mesh=default}",
          common_tls_context: {
            ...common("identity_cert:secret:web", { exact: "spiffe://default/db" }),
            alpn_protocols: ["kuma"],
          },
        }),
      },
    ],
  };
}

function rbacAction(action: string): Json {
  return {
    name: "envoy.filters.rbac.action",
    typed_config: { "@type": "type.googleapis.com/envoy.config.rbac.v3.Action", name: "MeshTrafficPermission", action },
  };
}
