import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync, renameSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { type Json, tcpProxy } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { askAs, asUid, inNetworkOf } from "../harness/other-user.ts";
import { inOwnNetwork, ip, nft } from "../harness/own-network.ts";
import type { Owner } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

/*
 * Listeners without a port that come and go while three workers serve redirected connections, and connections that are taken
 * transparently (TPROXY): their source stays, on both sides.
 */

const APP = asUid(54321);
const PORT = 15001;
const INBOUND = 15006;
const EXT = "type.googleapis.com/envoy.extensions";

const filter = (name: string, config: Json = {}): Json => ({
  name,
  typed_config: { "@type": `${EXT}.filters.${name}`, ...config },
});
const address = (text: string, port: number): Json => ({ socket_address: { address: text, port_value: port } });
const passthrough = tcpProxy({ cluster: "passthrough" });
const clusters = [
  { name: "passthrough", type: "ORIGINAL_DST", lb_policy: "CLUSTER_PROVIDED", connect_timeout: "5s" },
  { name: "nowhere", type: "STATIC", load_assignment: { cluster_name: "nowhere" } },
];
const unbound = (name: string, port: number, ...filters: Json[]): Json => ({
  "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
  name,
  address: address("0.0.0.0", port),
  bind_to_port: false,
  filter_chains: [{ filters }],
});

if (inOwnNetwork(import.meta.filename)) {
  describe("listeners of redirected connections", () => {
    before(() => {
      ip("link set lo up");
      ip("addr add 10.1.0.1/32 dev lo");
      nft(`table inet heddle {
        chain output { type nat hook output priority -100;
          meta skuid 54321 meta l4proto tcp redirect to :${PORT}
        }
      }`);
    });

    test("come and go while connections come, and those that run keep their chain", async (t) => {
      const named = createHttpServer((_, response) => response.end("behind"));
      await listen(t, named, "10.1.0.1", 8081);
      await listen(
        t,
        createServer((socket) => socket.pipe(socket)),
        "10.1.0.1",
        7,
      );
      const lds = join(scratchFolder(t), "lds.json");
      let version = 0;
      const put = (...listeners: Json[]): void => {
        const resources = [
          { ...unbound("out", PORT, passthrough), bind_to_port: true, use_original_dst: true },
          ...listeners,
        ];
        writeFileSync(`${lds}.new`, JSON.stringify({ version_info: String(++version), resources }));
        renameSync(`${lds}.new`, lds);
      };
      const answers = Buffer.from("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\nlistener");
      const web = unbound(
        "web",
        8081,
        filter("network.direct_response.v3.Config", { response: { inline_bytes: answers.toString("base64") } }),
      );
      const echo = unbound("echo", 7, passthrough);
      put(web, echo);
      const sidecar = await startSidecar(
        { static_resources: { clusters }, dynamic_resources: { lds_config: { path_config_source: { path: lds } } } },
        t,
        { concurrency: 3, drainTimeS: 60 },
      );
      const url = "http://10.1.0.1:8081/";
      await eventually("the listener answers", async () => (await askAs(APP, url)) === "listener");

      // Each worker has some: the kernel spreads them.
      const running = Array.from({ length: 6 }, () => talk(t, "10.1.0.1", 7));
      for (const { says } of running) assert.equal(await says("before"), "before");
      assert.equal(await sidecar.stat("listener.0.0.0.0_7.downstream_cx_active"), 6);

      const seen = new Set<string>();
      let asked = 0;
      let over = false;
      const askOn = async (): Promise<void> => {
        while (!over) {
          seen.add(await askAs(APP, url));
          asked++;
        }
      };
      const askers = [askOn(), askOn()];
      for (let round = 0; round < 6; round++) {
        put(echo);
        await eventually("it is gone", async () => !(await sidecar.page("/listeners")).includes("web::"));
        const without = asked + 4;
        await eventually("it is asked for", () => asked >= without);
        put(web, echo);
        await eventually("it is there again", async () => (await sidecar.page("/listeners")).includes("web::"));
        const within = asked + 4;
        await eventually("it is asked for", () => asked >= within);
      }
      over = true;
      await Promise.all(askers);
      assert.deepEqual([...seen].sort(), ["behind", "listener"]);

      // The chain of those that run goes nowhere for new ones: they have it as it was.
      put(unbound("echo", 7, tcpProxy({ cluster: "nowhere" })));
      await eventually("new ones are let go", async () => {
        const { says, end } = talk(t, "10.1.0.1", 7);
        const answer = await says("new");
        end();
        return answer === "";
      });
      put();
      await eventually("it is gone", async () => !(await sidecar.page("/listeners")).includes("echo::"));
      for (const { says } of running) assert.equal(await says("after"), "after");
      for (const { end } of running) end();
      await eventually(
        "nothing is left",
        async () => (await sidecar.stat("listener.0.0.0.0_7.downstream_cx_active")) === 0,
      );
      await eventually("nobody is counted twice", async () => (await sidecar.stat("server.total_connections")) === 0);
    });

    test("that are transparent take connections to others' addresses, which come on from their clients", async (t) => {
      const client = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" });
      t.after(() => client.kill());
      const inClient = (command: string): Promise<unknown> => run(inNetworkOf(client), "ip", ...command.split(" "));
      await eventually("the client has its network", () => ownNetwork(client));
      ip("link add pod0 type veth peer name client0");
      ip(`link set client0 netns ${client.pid}`);
      for (const command of [
        "link set lo up",
        "addr add 10.2.0.2/24 dev client0",
        "addr add fd02::2/64 dev client0 nodad",
      ])
        await inClient(command);
      await inClient("link set client0 up");
      ip("addr add 10.2.0.1/24 dev pod0");
      ip("addr add fd02::1/64 dev pod0 nodad");
      ip("link set pod0 up");
      for (const family of ["-4", "-6"]) {
        for (const [mark, table] of [
          [1, 100],
          [1337, 101],
        ]) {
          ip(`${family} rule add fwmark ${mark} lookup ${table}`);
          ip(`${family} route add local default dev lo table ${table}`);
        }
      }
      nft(`table inet heddle_in {
        chain prerouting { type filter hook prerouting priority mangle;
          iifname "pod0" meta l4proto tcp socket transparent 1 meta mark set 1 accept
          iifname "pod0" meta l4proto tcp tproxy to :${INBOUND} meta mark set 1 accept
          meta mark 1337 ct mark set 1337
        }
        chain output { type route hook output priority mangle;
          ct mark 1337 meta mark set 1337
        }
      }`);
      const server = createHttpServer(({ socket }, response) =>
        response.end(`${socket.localAddress} for ${socket.remoteAddress}`),
      );
      await listen(t, server, "10.2.0.1", 8090);
      await listen(t, createHttpServer(server.listeners("request")[0] as never), "fd02::1", 8090);
      const inbound = (host: string): Json => ({
        name: host,
        address: address(host, INBOUND),
        transparent: true,
        traffic_direction: "INBOUND",
        listener_filters: [
          filter("listener.original_dst.v3.OriginalDst"),
          filter("listener.original_src.v3.OriginalSrc", { mark: 1337 }),
        ],
        filter_chains: [{ filters: [passthrough], filter_chain_match: { destination_port: 8090 } }],
        default_filter_chain: { filters: [tcpProxy({ cluster: "passthrough" })] },
      });
      const listeners = [inbound("0.0.0.0"), inbound("::")];
      const sidecar = await startSidecar({ static_resources: { listeners, clusters } }, t);
      const asClient = inNetworkOf(client);
      assert.equal(await askAs(asClient, "http://10.2.0.1:8090/"), "10.2.0.1 for 10.2.0.2");
      assert.equal(await askAs(asClient, "http://[fd02::1]:8090/"), "fd02::1 for fd02::2");
      // Its own port, by its own address: it does not go round.
      assert.equal(await askAs(asClient, `http://10.2.0.1:${INBOUND}/`), "closed");
      assert.equal(await sidecar.stat("cluster.passthrough.original_dst_host_invalid"), 1);
      assert.equal(await sidecar.stat("cluster.passthrough.upstream_cx_total"), 2);
    });
  });
}

async function listen(owner: Owner, server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
  owner.after(() => server.close());
}

async function run([first, ...as]: readonly string[], ...program: string[]): Promise<void> {
  const child = spawn(first!, [...as, ...program], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 0, program.join(" "));
}

/** Whether the process is in a network other than ours by now. */
function ownNetwork(child: ChildProcess): boolean {
  try {
    return readlinkSync(`/proc/${child.pid}/ns/net`) !== readlinkSync("/proc/self/ns/net");
  } catch {
    return false;
  }
}

/** A connection of `app` on which one thing after the other is said. `says`: the answer, "" where there is none any more. */
function talk(owner: Owner, host: string, port: number) {
  const [program, ...args] = APP;
  const child = spawn(program, [...args, "socat", "-", `TCP:${host}:${port}`], { stdio: ["pipe", "pipe", "ignore"] });
  const closed = once(child, "close");
  owner.after(() => child.kill());
  child.stdin.on("error", () => undefined);
  const says = async (words: string): Promise<string> => {
    child.stdin.write(words);
    const [chunk] = (await Promise.race([once(child.stdout, "data"), closed.then(() => [""])])) as [Buffer | string];
    return String(chunk);
  };
  return { says, end: () => child.stdin.end() };
}
