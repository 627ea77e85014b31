import assert from "node:assert/strict";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { adsBootstrap, edsCluster, rds, startControlPlane, type World } from "../harness/control-plane.ts";
import { type Json, listener, loadAssignment, tcpListener } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startFileControlPlane } from "../harness/file-control-plane.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { spawnSidecar } from "../harness/sidecar.ts";

/* What a control plane changes besides listeners, routes, clusters and endpoints. */

describe("a sidecar under a control plane", { concurrency: 2 }, () => {
  test("RTDS: a runtime key moves traffic while it flows, its removal moves it back; the admin layer wins", async (t) => {
    const runtime = (share: Json | number): Json => ({ name: "live", layer: { shift: { share } } });
    const split = [
      {
        match: { prefix: "/", runtime_fraction: { default_value: { numerator: 0 }, runtime_key: "shift.share" } },
        route: { cluster: "b" },
      },
      { match: { prefix: "/" }, route: { cluster: "a" } },
    ];
    const routes = [{ name: "all", virtual_hosts: [{ name: "all", domains: ["*"], routes: split }] }];
    const layers = [
      { name: "base", static_layer: { shift: { share: 0 } } },
      { name: "rtds", rtds_layer: { name: "live", rtds_config: { ads: {}, resource_api_version: "V3" } } },
      { name: "admin", admin_layer: {} },
    ];
    const { controlPlane, sidecar, tell, ready, ports } = await start(t, { layered_runtime: { layers } });
    const sick = ["a", "b"].map((name) => {
      const address = { socket_address: { address: "127.0.0.1", port_value: ports[name as "a" | "b"] } };
      const endpoint = { endpoint: { address }, health_status: "UNHEALTHY" };
      return { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] };
    });
    const world = { listeners: [listener({ name: "in", routes: rds("all") })], routes, endpoints: sick };
    tell({ ...world, runtime: [runtime(100)] });
    const { ask } = await ready();
    assert.equal(await ask(), "200 b", "the runtime is there before the first request");
    tell({ ...world, runtime: [runtime({ numerator: 0, denominator: "MILLION" })] });
    await eventually("the key is 0", async () => (await ask()) === "200 a");
    const modify = (query: string) => fetch(`http://${sidecar.admin}/runtime_modify?${query}`, { method: "POST" });
    assert.equal((await modify("shift.share=100")).status, 200);
    await eventually("the admin layer wins", async () => (await ask()) === "200 b");
    assert.equal((await modify("shift.share=")).status, 200);
    await eventually("it is taken back", async () => (await ask()) === "200 a");
    assert.equal((await modify("upstream.healthy_panic_threshold=0")).status, 200);
    await eventually("there is no panic any more", async () => (await ask()).startsWith("503"));
    assert.equal((await modify("upstream.healthy_panic_threshold=")).status, 200);
    await eventually("there is", async () => (await ask()) === "200 a");
    const shown = JSON.parse(await sidecar.page("/runtime"));
    assert.deepEqual(shown.layers, ["base", "rtds", "admin"]);
    assert.deepEqual(shown.entries["shift.share"].layer_values, ["0", '{"denominator":"MILLION","numerator":0}', ""]);

    tell({ ...world, runtime: [{ name: "live", layer: { shift: [1] } }] });
    await eventually("a bad one is refused", () => controlPlane.rejection("runtime") !== undefined);
    assert.match(controlPlane.rejection("runtime") ?? "", /layer\.shift: found a list/);
    assert.equal(await ask(), "200 a", "the one before goes on");
    const stats = await sidecar.page("/stats?filter=^runtime");
    assert.match(stats, /runtime\.num_keys: 1\n/);
    assert.match(stats, /runtime\.num_layers: 3\n/);
  });

  test("ECDS: a filter's configuration comes, changes and goes, and no connection ends for it", async (t) => {
    const { controlPlane, sidecar, owner, tell, ready } = await start(t);
    // Which filter it is shows in its answers: with a check that passes nothing on, "/check" is answered here.
    const check = (path: string): Json => ({
      name: "check",
      typed_config: {
        "@type": HEALTH_CHECK,
        pass_through_mode: false,
        headers: [{ name: ":path", string_match: { exact: path } }],
      },
    });
    const source = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };
    const filters = [{ name: "check", config_discovery: { config_source: source, type_urls: [HEALTH_CHECK] } }];
    const world = {
      listeners: [listener({ name: "in", routes: rds("all"), filters })],
      routes: [{ name: "all", virtual_hosts: [{ name: "all", domains: ["*"], routes: [toCluster("a")] }] }],
    };
    tell({ ...world, extensions: [check("/one")] });
    const { port, ask } = await ready();
    assert.deepEqual([await ask("/one"), await ask("/two")], ["200 ", "200 a"]);
    const kept = await RawPeer.connect(port, owner);
    const askKept = async (path: string): Promise<string> => {
      await kept.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
      return String((await kept.message()).body);
    };
    assert.equal(await askKept("/two"), "a");

    tell({ ...world, extensions: [check("/two")] });
    await eventually("the other one is in force", async () => (await ask("/two")) === "200 ");
    assert.deepEqual([await askKept("/one"), await askKept("/two")], ["a", ""], "on the connection of before");

    const bad = { name: "check", typed_config: { "@type": ROUTER } };
    tell({ ...world, extensions: [bad] });
    await eventually("another type is refused", () => controlPlane.rejection("extensions") !== undefined);
    assert.match(controlPlane.rejection("extensions") ?? "", /found .*Router, allowed are type_urls: .*HealthCheck/);
    assert.equal(await askKept("/two"), "", "the one before goes on");

    tell(world);
    await eventually("without a configuration no request passes", async () => (await ask("/two")) === "500 ");
    tell({ ...world, extensions: [check("/three")] });
    await eventually("it is back", async () => (await ask("/two")) === "200 a");
    assert.equal(await askKept("/two"), "a", "the connection has seen it all");
    kept.socket.destroy();
    assert.match(
      await sidecar.page("/stats?filter=extension_config"),
      /extension_config_discovery\.http_filter\.check\.config_reload: 3\n/,
    );
  });

  test("ECDS: a network filter's configuration changes for connections to come, and those of before go on; a listener filter's as well", async (t) => {
    const { sidecar, owner, tell, ready, controlPlane } = await start(t);
    const TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    const PROXY = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
    const proxy = (cluster: string): Json => ({
      name: "bytes",
      typed_config: { "@type": TCP_PROXY, stat_prefix: "tcp", cluster },
    });
    const who = { name: "who", typed_config: { "@type": PROXY } };
    const source = { ads: {}, resource_api_version: "V3" };
    const discovered = (name: string, type: string): Json => ({
      name,
      config_discovery: { config_source: source, type_urls: [type] },
    });
    const routes = [{ name: "all", virtual_hosts: [{ name: "all", domains: ["*"], routes: [toCluster("a")] }] }];
    const listeners = [
      listener({ name: "in", routes: rds("all") }),
      tcpListener("bytes", discovered("bytes", TCP_PROXY)),
      tcpListener("who", proxy("a"), { listener_filters: [discovered("who", PROXY)] }),
    ];
    tell({ listeners, routes, extensions: [proxy("a"), who] });
    const { askAt } = await ready();
    const ask = (peer: RawPeer): Promise<string> =>
      peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").then(async () => String((await peer.message()).body));
    const kept = await RawPeer.connect(await sidecar.port("bytes"), owner);
    assert.equal(await ask(kept), "a");
    const announced = await RawPeer.connect(await sidecar.port("who"), owner);
    await announced.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    assert.equal(await ask(announced), "a");

    tell({ listeners, routes, extensions: [proxy("b"), who] });
    await eventually("the other cluster", async () => (await askAt("bytes", "/", {})) === "200 b");
    assert.equal(await ask(kept), "a", "the connection of before goes on");
    tell({ listeners, routes, extensions: [{ ...proxy("b"), typed_config: { "@type": ROUTER } }, who] });
    await eventually("another type is refused", () => controlPlane.rejection("extensions") !== undefined);
    assert.equal(await askAt("bytes", "/", {}), "200 b");

    tell({ listeners, routes, extensions: [] });
    await eventually("without a configuration connections are closed", async () => {
      const results = await Promise.allSettled([askAt("bytes", "/", {}), askAt("who", "/", {})]);
      return results.every(({ status }) => status === "rejected");
    });
    assert.equal(await ask(kept), "a");
    const stats = await sidecar.page("/stats?filter=extension_config");
    assert.match(stats, /extension_config_discovery\.network_filter\.bytes\.config_reload: 2\n/);
    assert.match(stats, /listener\..*\.network_extension_config_missing: [1-9]/);
    assert.match(stats, /listener\..*\.extension_config_missing: [1-9]/);
    kept.socket.destroy();
    announced.socket.destroy();
  });

  test("VHDS: a request to an unknown host is held until its virtual host has come; hosts that do not exist cost one question", async (t) => {
    const { controlPlane, sidecar, tell, ready } = await start(t);
    const world = (virtualHosts: Readonly<Record<string, Json>>): World => ({
      listeners: [listener({ name: "in", routes: rds("all"), filters: [onDemand()] })],
      routes: [
        {
          name: "all",
          virtual_hosts: [{ name: "inline", domains: ["inline.example"], routes: [toCluster("a")] }],
          vhds: { config_source: { ads: {}, resource_api_version: "V3" } },
        },
      ],
      virtualHosts,
    });
    const host = (name: string, ...domains: string[]): Json => ({ name, domains, routes: [toCluster("b")] });
    const unasked = { "all/pushed": host("pushed", "pushed.example", "inline.example") };
    tell(world(unasked));
    const { ask } = await ready();
    assert.equal(await ask("/", { host: "inline.example" }), "200 a", "the inline one wins");
    await eventually(
      "what comes unasked is there",
      async () => (await ask("/", { host: "pushed.example" })) === "200 b",
    );

    const asked = controlPlane.onRequest((name) => {
      if (name === "all/later.example") tell(world({ ...unasked, [name]: host("later", "later.example") }));
    });
    const many = await Promise.all(Array.from({ length: 8 }, () => ask("/", { host: "Later.example" })));
    assert.deepEqual(new Set(many), new Set(["200 b"]));
    assert.deepEqual(asked, ["all/later.example"], "asked for once, whoever waits");
    assert.equal(await ask("/", { host: "nobody.example" }), "404 ");
    // Asked for, and let go; under the wildcard a server looks at a name that is let go once more (statement 42).
    const twice = ["all/nobody.example", "all/nobody.example"];
    await eventually("it is let go", () => asked.length === 3);
    for (let i = 0; i < 3; i++) assert.equal(await ask("/", { host: "nobody.example" }), "404 ");
    assert.deepEqual(asked, ["all/later.example", ...twice], "what is not there is remembered");
    assert.match(await sidecar.page("/stats?filter=on_demand"), /on_demand\.overflow: 0\n/);

    controlPlane.onRequest(() => undefined); // what is let go is looked at once more, and would come back
    tell(world({}));
    await eventually("it is gone", async () => (await ask("/", { host: "pushed.example" })) === "404 ");
    assert.equal(await ask("/", { host: "inline.example" }), "200 a");
  });

  test("a cluster comes on demand while its first request waits; without odcds, or without such a cluster, it is 503", async (t) => {
    const { controlPlane, tell, ready, ports } = await start(t);
    const source = { ads: {}, resource_api_version: "V3" };
    const filters = [onDemand({ odcds: { source, timeout: "5s" } })];
    const byHeader = { match: { prefix: "/" }, route: { cluster_header: "x-cluster" } };
    const world = (...clusters: readonly string[]): World => ({
      listeners: [
        listener({ name: "in", routes: rds("all"), filters }),
        listener({ name: "strict", routes: rds("all"), filters: [onDemand()] }),
      ],
      routes: [{ name: "all", virtual_hosts: [{ name: "all", domains: ["*"], routes: [byHeader] }] }],
      clusters: [edsCluster("a"), ...clusters.map((name) => edsCluster(name))],
      endpoints: [loadAssignment("a", [ports.a]), ...clusters.map((name) => loadAssignment(name, [ports.b]))],
    });
    tell(world());
    const { ask, askAt } = await ready();
    const asked = controlPlane.onRequest((name) => {
      if (name === "late") tell(world("late"));
    });
    assert.equal(await ask("/", { "x-cluster": "a" }), "200 a");
    assert.match(await askAt("strict", "/", { "x-cluster": "late" }), /^503 /);
    assert.deepEqual(asked, []);
    assert.equal(await ask("/", { "x-cluster": "late" }), "200 b");
    assert.match(await ask("/", { "x-cluster": "nobody" }), /^503 /);
    assert.deepEqual([...new Set(asked)], ["late", "nobody"]);
  });

  test("our own control plane: a service outside the egress list comes with the first request to it", async (t) => {
    const owner = lastFirst(t);
    const upstream = await RawUpstream.listen(owner);
    upstream.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
    const service = (name: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ops }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }
---`;
    const workload = (name: string, namespace: string, port: number, more: string): string => `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, namespace: ${namespace}, labels: { app: ${name} } }
spec: { addresses: [127.0.0.1], ports: [{ name: http, protocol: http, port: ${port} }]${more} }
---`;
    const files = {
      "mesh.yaml": [
        service("billing"),
        service("other"),
        workload("billing", "ops", upstream.port, ""),
        workload("web", "default", 9, `, outboundPort: ${await freePort()}, egress: [nothing]`),
      ].join(""),
    };
    const controlPlane = await startFileControlPlane(files, owner);
    const ads = adsBootstrap(controlPlane.xdsPort, "delta");
    const bootstrap = { ...ads, node: { id: "default/web/1", cluster: "web" } };
    const sidecar = spawnSidecar(bootstrap, owner, { drainTimeS: 2 });
    await sidecar.untilReady();
    const port = await sidecar.port("outbound");
    const clusters = async (): Promise<boolean> =>
      (await sidecar.page("/clusters")).includes("outbound/80/billing.ops");
    assert.equal(await clusters(), false);
    assert.equal(await askHost(port, "/", { host: "billing.ops" }), "200 b");
    assert.equal(await clusters(), true);
    assert.equal(await askHost(port, "/", { host: "nobody.ops" }), "404 ");
    assert.match(await askHost(port, "/", { host: "other.ops" }), /^503 /, "it has no endpoints");
    assert.deepEqual(await controlPlane.rejections(), []);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

const ON_DEMAND = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand";

function onDemand(config: Json = {}): Json {
  return { name: "envoy.filters.http.on_demand", typed_config: { "@type": ON_DEMAND, ...config } };
}

const HEALTH_CHECK = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck";
const ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

function toCluster(cluster: string): Json {
  return { match: { prefix: "/" }, route: { cluster } };
}

/** Under which `world` is told, with two clusters, "a" and "b", that answer with their names. */
async function start(t: TestContext, bootstrap: Json = {}) {
  const owner = lastFirst(t);
  const upstreams = { a: await RawUpstream.listen(owner), b: await RawUpstream.listen(owner) };
  for (const [name, upstream] of Object.entries(upstreams))
    upstream.answerAll(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${name}`);
  const controlPlane = await startControlPlane(owner);
  const clusters: World = {
    clusters: [edsCluster("a"), edsCluster("b")],
    endpoints: [loadAssignment("a", [upstreams.a.port]), loadAssignment("b", [upstreams.b.port])],
  };
  const sidecar = spawnSidecar({ ...adsBootstrap(controlPlane.port, "delta"), ...bootstrap }, owner, {
    drainTimeS: 2,
  });
  return {
    owner,
    controlPlane,
    sidecar,
    ports: { a: upstreams.a.port, b: upstreams.b.port },
    tell: (world: World) => controlPlane.set({ ...clusters, ...world }),
    /** Once everything serves: asks the listener "in". */
    async ready() {
      await sidecar.untilReady();
      const port = await sidecar.port("in");
      return {
        port,
        askAt: async (name: string, path: string, headers: Readonly<Record<string, string>>) =>
          askHost(await sidecar.port(name), path, headers),
        ask: (path = "/", headers: Readonly<Record<string, string>> = {}) => askHost(port, path, headers),
      };
    },
  };
}

/** Unlike `fetch` it takes any host. */
function askHost(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve(`${response.statusCode} ${body}`));
    });
    asked.on("error", reject).end();
  });
}
