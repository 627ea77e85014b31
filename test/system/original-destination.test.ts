import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { type Json, router, tcpProxy } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { askAs, asUid, firstWordsAs } from "../harness/other-user.ts";
import { inOwnNetwork, ip, nft } from "../harness/own-network.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

/*
 * Original destination by the kernel's own rules, in a sidecar and in a real Envoy with the same configuration. Everything stands
 * in one network namespace, made for this file: connections of two users are redirected, of one to the sidecar, of the other
 * to Envoy; those of everybody else are not. 10.1.0.1, 10.1.0.2 and fd01::1 are the servers that these users mean.
 */

interface Proxy {
  readonly name: string;
  readonly uid: number;
  readonly port: number;
}

const SIDECAR: Proxy = { name: "sidecar", uid: 54321, port: 15001 };
const ENVOY: Proxy = { name: "Envoy", uid: 54322, port: 15101 };
const EXT = "type.googleapis.com/envoy.extensions";

const address = (text: string, port: number): Json => ({ socket_address: { address: text, port_value: port } });
const filter = (name: string, config: Json = {}): Json => ({
  name,
  typed_config: { "@type": `${EXT}.filters.${name}`, ...config },
});
const http = (stat_prefix: string, virtualHost: Json): Json =>
  filter("network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix,
    route_config: { virtual_hosts: [{ name: "v", domains: ["*"], ...virtualHost }] },
    http_filters: [router],
  });
const answer = (body: string): Json =>
  http("direct", {
    routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: body } } }],
  });
const forward = (cluster: string): Json => http(cluster, { routes: [{ match: { prefix: "/" }, route: { cluster } }] });
const originalDst = (name: string, more: Json = {}): Json => ({
  name,
  type: "ORIGINAL_DST",
  lb_policy: "CLUSTER_PROVIDED",
  connect_timeout: "5s",
  ...more,
});
const chain = (filters: readonly Json[], filter_chain_match?: Json, name?: string): Json => ({
  filters,
  ...(filter_chain_match && { filter_chain_match }),
  ...(name !== undefined && { name }),
});
const unbound = (stat_prefix: string, host: string, port: number, filters: readonly Json[], more: Json = {}): Json => ({
  name: stat_prefix,
  stat_prefix,
  address: address(host, port),
  bind_to_port: false,
  filter_chains: [chain(filters)],
  ...more,
});
const inspectors = (disabled?: Json): readonly Json[] => [
  filter("listener.original_dst.v3.OriginalDst"),
  { ...filter("listener.tls_inspector.v3.TlsInspector"), ...(disabled && { filter_disabled: disabled }) },
  { ...filter("listener.http_inspector.v3.HttpInspector"), ...(disabled && { filter_disabled: disabled }) },
];
const passthrough = tcpProxy({ cluster: "passthrough" });

function bootstrap({ port }: Proxy, logFile: string): Json {
  const text_format_source = {
    inline_string:
      "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %RESPONSE_FLAGS%\n",
  };
  const access_log = [
    {
      name: "file",
      typed_config: {
        "@type": `${EXT}.access_loggers.file.v3.FileAccessLog`,
        path: logFile,
        log_format: { text_format_source },
      },
    },
  ];
  const logged = tcpProxy({ cluster: "passthrough", access_log });
  const allowed = filter("network.rbac.v3.RBAC", {
    stat_prefix: "r",
    rules: {
      policies: {
        one: {
          permissions: [
            {
              and_rules: {
                rules: [{ destination_ip: { address_prefix: "10.1.0.1", prefix_len: 32 } }, { destination_port: 7001 }],
              },
            },
          ],
          principals: [{ any: true }],
        },
      },
    },
  });
  const outbound = (stat_prefix: string, host: string): Json => ({
    name: stat_prefix,
    stat_prefix,
    address: address(host, port),
    use_original_dst: true,
    filter_chains: [
      chain(
        [answer("chain of two")],
        { prefix_ranges: [{ address_prefix: "10.1.0.2", prefix_len: 32 }], destination_port: 7000 },
        "two",
      ),
      chain([allowed, answer("allowed")], { destination_port: 7001 }, "rbac"),
      chain([tcpProxy({ cluster: "blackhole" })], { destination_port: 9999 }, "blackhole"),
      chain([tcpProxy({ cluster: "inbound_passthrough" })], { destination_port: 8083 }, "from 127.0.0.6"),
    ],
    default_filter_chain: chain([logged]),
    traffic_direction: "OUTBOUND",
  });
  return {
    static_resources: {
      listeners: [
        outbound("outbound", "0.0.0.0"),
        outbound("outbound6", "::"),
        unbound("exact", "10.1.0.1", 8081, [answer("exact")]),
        unbound("wildcard", "0.0.0.0", 8081, [answer("wildcard")]),
        unbound("http", "0.0.0.0", 8082, [forward("http_passthrough")]),
        unbound("late", "0.0.0.0", 2526, [passthrough], {
          listener_filters: inspectors(),
          listener_filters_timeout: "0.2s",
          continue_on_listener_filters_timeout: true,
        }),
        unbound("excluded", "0.0.0.0", 2527, [passthrough], {
          listener_filters: inspectors({ destination_port_range: { start: 2527, end: 2528 } }),
          listener_filters_timeout: "60s",
        }),
        unbound("sniffed", "0.0.0.0", 2528, [], {
          listener_filters: inspectors(),
          filter_chains: [
            chain([answer("it is HTTP")], { application_protocols: ["http/1.1"] }, "http"),
            chain([passthrough], undefined, "else"),
          ],
        }),
      ],
      clusters: [
        originalDst("passthrough"),
        originalDst("http_passthrough", {
          original_dst_lb_config: { use_http_header: true },
          cleanup_interval: "600s",
        }),
        originalDst("inbound_passthrough", {
          upstream_bind_config: {
            source_address: { address: "127.0.0.6", port_value: 0 },
            extra_source_addresses: [{ address: { address: "::6", port_value: 0 } }],
          },
        }),
        { name: "blackhole", type: "STATIC", load_assignment: { cluster_name: "blackhole" } },
      ],
    },
  };
}

/** What each answers to curl: the body, or why there is none. */
const ASKED: readonly (readonly [url: string, answer: string, ...headers: string[]])[] = [
  ["http://10.1.0.1:8080/", "one for itself"],
  ["http://10.1.0.2:8080/", "two for itself"],
  ["http://[fd01::1]:8080/", "six for itself"],
  ["http://10.1.0.1:8081/", "exact"],
  ["http://10.1.0.2:8081/", "wildcard"],
  ["http://10.1.0.1:8082/", "one for itself"],
  ["http://10.1.0.2:8082/", "two for itself"],
  ["http://10.1.0.2:8082/", "one for itself", "x-envoy-original-dst-host: 10.1.0.1:8080"],
  ["http://10.1.0.2:8082/", "two for itself", "x-envoy-original-dst-host: one:8080"],
  ["http://10.1.0.1:8083/", "one for 127.0.0.6"],
  ["http://[fd01::1]:8083/", "six for ::6"],
  ["http://10.1.0.2:7000/", "chain of two"],
  ["http://10.1.0.1:7001/", "allowed"],
  ["http://10.1.0.2:7001/", "closed"],
  ["http://10.1.0.1:9999/", "closed"],
  ["http://10.1.0.1:2528/", "it is HTTP"],
];

const GREETING = "220 hello";

/** Of both programs, after `ASKED` and the greetings. */
const STATS: Readonly<Record<string, number>> = {
  "listener.exact.downstream_cx_total": 1,
  "listener.wildcard.downstream_cx_total": 1,
  "listener.http.downstream_cx_total": 4,
  "listener.late.downstream_pre_cx_timeout": 1,
  "listener.excluded.downstream_pre_cx_timeout": 0,
  "cluster.http_passthrough.original_dst_host_invalid": 1,
  "cluster.blackhole.upstream_cx_none_healthy": 1,
  "cluster.http_passthrough.upstream_rq_total": 4,
};

if (inOwnNetwork(import.meta.filename)) {
  describe("redirected connections", () => {
    const owner = lastFirst({ after });
    const answers = new Map<string, unknown>();

    before(async () => {
      ip("link set lo up");
      for (const one of ["10.1.0.1/32", "10.1.0.2/32", "fd01::1/128", "::6/128"]) ip(`addr add ${one} dev lo`);
      const redirect = ({ uid, port }: Proxy): string =>
        `meta skuid ${uid} meta l4proto tcp tcp dport != ${port} redirect to :${port};`;
      nft(`table inet heddle {
        chain output { type nat hook output priority -100; ${redirect(SIDECAR)} ${redirect(ENVOY)} }
      }`);
      for (const port of [8080, 8082, 8083]) {
        await named(owner, "10.1.0.1", port, "one");
        await named(owner, "10.1.0.2", port, "two");
        await named(owner, "fd01::1", port, "six");
      }
      for (const port of [2525, 2526, 2527]) await greeting(owner, "10.1.0.1", port);
    });

    for (const proxy of [SIDECAR, ENVOY]) {
      const skip = proxy === ENVOY ? skipWithoutEnvoy : false;
      test(`go where they were meant to go, in ${proxy.name}`, { skip }, async (t) => {
        const logFile = join(scratchFolder(t), "access.log");
        const config = bootstrap(proxy, logFile);
        const running = proxy === ENVOY ? await startEnvoy(config, t) : await startSidecar(config, t);
        const found = [];
        for (const [url, , ...headers] of ASKED)
          found.push([url, await askAs(asUid(proxy.uid), url, headers), ...headers]);
        assert.deepEqual(found, ASKED);
        // A server that speaks first is heard at once where nobody inspects, and after the time where it is served all the same.
        for (const port of [2525, 2526, 2527])
          assert.equal(await firstWordsAs(asUid(proxy.uid), "10.1.0.1", port), GREETING, `${port}`);
        const stats: Record<string, number> = {};
        await eventually("what happened is counted", async () => {
          for (const name of Object.keys(STATS)) stats[name] = await running.stat(name);
          try {
            assert.deepEqual(stats, STATS);
            return true;
          } catch {
            return false;
          }
        }).catch(() => assert.deepEqual(stats, STATS));
        await eventually("everything is logged", () => linesOf(logFile).length >= 4);
        answers.set(proxy.name, linesOf(logFile).sort());
        if (proxy === SIDECAR) {
          const hosts = await running.page("/clusters");
          assert.match(hosts, /^http_passthrough::10\.1\.0\.1:8080::rq_total::1$/m);
          assert.match(hosts, /^http_passthrough::10\.1\.0\.2:8082::rq_total::2$/m);
        }
        const listeners = (await running.page("/listeners")).trim().split("\n");
        assert.ok(listeners.includes("exact::10.1.0.1:8081"), listeners.join());
      });
    }

    test("are logged with the address that they were meant for", (t) => {
      const expected = [
        "10.1.0.1:2525 2525 10.1.0.1:2525 passthrough -",
        "10.1.0.1:8080 8080 10.1.0.1:8080 passthrough -",
        "10.1.0.2:8080 8080 10.1.0.2:8080 passthrough -",
        "[fd01::1]:8080 8080 [fd01::1]:8080 passthrough -",
      ];
      assert.deepEqual(answers.get(SIDECAR.name), expected);
      if (skipWithoutEnvoy !== false) t.diagnostic("not compared with Envoy");
      else assert.deepEqual(answers.get(ENVOY.name), expected);
    });

    test("that were meant for the sidecar's own port do not go round", async (t) => {
      const sidecar = await startSidecar(bootstrap(SIDECAR, join(scratchFolder(t), "access.log")), t);
      for (const host of ["127.0.0.1", "10.1.0.1", "[fd01::1]"]) {
        assert.equal(await askAs(asUid(SIDECAR.uid), `http://${host}:${SIDECAR.port}/`), "closed", host);
      }
      const header = `x-envoy-original-dst-host: 127.0.0.1:${SIDECAR.port}`;
      assert.equal(await askAs(asUid(SIDECAR.uid), "http://10.1.0.1:8082/", [header]), "503 no healthy upstream");
      assert.equal(await sidecar.stat("cluster.passthrough.original_dst_host_invalid"), 3);
      assert.equal(await sidecar.stat("cluster.passthrough.upstream_cx_total"), 0);
      assert.equal(await sidecar.stat("cluster.http_passthrough.upstream_cx_total"), 0);
    });
  });
}

function linesOf(file: string): string[] {
  return readFileSync(file, "utf8").split("\n").filter(Boolean);
}

/** Says whom it has answered. */
async function named(owner: Owner, host: string, port: number, name: string): Promise<void> {
  const server = createHttpServer((request, response) => {
    const from = request.socket.remoteAddress;
    response.end(`${name} for ${from === host ? "itself" : from}`);
  });
  await listen(owner, server, host, port);
}

async function greeting(owner: Owner, host: string, port: number): Promise<void> {
  await listen(
    owner,
    createServer((socket) => socket.on("error", () => undefined).end(GREETING)),
    host,
    port,
  );
}

async function listen(owner: Owner, server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
  owner.after(() => server.close());
}
