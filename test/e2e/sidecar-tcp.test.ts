import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  cluster,
  inlineRoutes,
  type Json,
  listener,
  proxyProtocol,
  staticBootstrap,
  tcpListener,
  tcpProxy,
  upstreamProxyProtocol,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

function tcpLog(path: string): Json {
  return {
    name: "tcp",
    typed_config: {
      "@type": FILE_LOG,
      path,
      log_format: {
        text_format_source: {
          inline_string:
            "%FILTER_CHAIN_NAME%|%RESPONSE_FLAGS%|%BYTES_RECEIVED%|%BYTES_SENT%|%UPSTREAM_HOST%|%UPSTREAM_CLUSTER%|%DOWNSTREAM_REMOTE_ADDRESS%|%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%|%DYNAMIC_METADATA(front:authority)%\n",
        },
      },
    },
  };
}

/** A listener "name" whose chain of the same name leads to the cluster of the same name. */
function proxied(name: string, path: string, proxy: Json = {}, fields: Json = {}): Json {
  const filter = tcpProxy({ stat_prefix: name, cluster: name, access_log: [tcpLog(path)], ...proxy });
  return tcpListener(name, filter, { filter_chains: [{ name, filters: [filter] }], ...fields });
}

for (const concurrency of [1, 3]) {
  describe(`TCP through a sidecar of ${concurrency}`, { concurrency: 6 }, () => {
    const suite = lastFirst({ after });
    const upstreams = new Map<string, RawUpstream>();
    let sidecar: SidecarProcess;
    let folder: string;
    let log: string;

    before(async () => {
      folder = scratchFolder(suite);
      log = `${folder}/tcp.log`;
      const names = [
        "plain",
        "broken",
        "flow",
        "limited",
        "idle",
        "old",
        "v1",
        "v2",
        "http-v2",
        "in",
        "in-slow",
        "in-http",
        "late",
        "leaks",
        "loose",
        "forwarded",
        "chains",
      ];
      for (const name of names) upstreams.set(name, await RawUpstream.listen(suite));
      const port = (name: string): number => upstreams.get(name)?.port ?? 0;
      const tlv = { tlv_type: 2, on_tlv_present: { metadata_namespace: "front", key: "authority" } };
      const toV2 = upstreamProxyProtocol({ version: "V2", pass_through_tlvs: {} });
      sidecar = await startSidecar(
        staticBootstrap(
          [
            proxied("plain", log),
            proxied("broken", log),
            proxied("flow", log),
            proxied("leaks", log),
            proxied("limited", log),
            proxied("idle", log, { idle_timeout: "0.3s" }),
            proxied("old", log, { max_downstream_connection_duration: "1s" }),
            proxied("refused", log, { max_connect_attempts: 3 }),
            proxied("absent", log),
            proxied("empty", log),
            proxied("v1", log),
            proxied("v2", log),
            proxied("in", log, {}, proxyProtocol({ rules: [tlv] })),
            proxied("in-slow", log, {}, proxyProtocol({ stat_prefix: "slow" })),
            proxied("loose", log, {}, proxyProtocol({ allow_requests_without_proxy_protocol: true })),
            proxied(
              "quick",
              log,
              { cluster: "late" },
              { ...proxyProtocol(), stat_prefix: "quick", listener_filters_timeout: "0.2s" },
            ),
            proxied(
              "patient",
              log,
              { cluster: "late" },
              { ...proxyProtocol(), listener_filters_timeout: "0.2s", continue_on_listener_filters_timeout: true },
            ),
            proxied("forwarded", log, {}, proxyProtocol({ pass_through_tlvs: {} })),
            {
              ...proxied("chains", log, {}, proxyProtocol()),
              filter_chains: [
                {
                  name: "friends",
                  filter_chain_match: { source_prefix_ranges: [{ address_prefix: "192.0.2.0", prefix_len: 24 }] },
                  filters: [tcpProxy({ stat_prefix: "chains", cluster: "chains", access_log: [tcpLog(log)] })],
                },
              ],
            },
            { ...proxied("pipe", log), address: { pipe: { path: `${folder}/in.sock`, mode: 0o600 } } },
            { ...proxied("abstract", log), address: { pipe: { path: `@heddle-in-${process.pid}-${concurrency}` } } },
            listener({
              name: "http",
              routes: inlineRoutes([virtualHost("*", "http-v2")]),
              http: { use_remote_address: true },
            }),
            {
              ...listener({
                name: "http-in",
                routes: inlineRoutes([virtualHost("*", "in-http")]),
                http: { use_remote_address: true },
              }),
              ...proxyProtocol(),
            },
            tcpListener("echo", {
              name: "echo",
              typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" },
            }),
            tcpListener("answer", {
              name: "answer",
              typed_config: {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
                response: { inline_string: "not here\n" },
              },
            }),
          ],
          [
            ...["plain", "broken", "flow", "in", "in-slow", "in-http", "late", "leaks"].map((name) =>
              cluster(name, [port(name)]),
            ),
            cluster("limited", [port("limited")], { circuit_breakers: { thresholds: [{ max_connections: 1 }] } }),
            cluster("idle", [port("idle")]),
            cluster("old", [port("old")]),
            cluster("refused", [1]),
            cluster("empty", []),
            cluster("v1", [port("v1")], upstreamProxyProtocol()),
            cluster("v2", [port("v2")], upstreamProxyProtocol({ version: "V2" })),
            cluster("http-v2", [port("http-v2")], upstreamProxyProtocol({ version: "V2" })),
            cluster("loose", [port("loose")]),
            cluster("forwarded", [port("forwarded")], toV2),
            cluster("chains", [port("chains")]),
            pipeCluster("pipe", `${folder}/out.sock`),
            pipeCluster("abstract", `@heddle-out-${process.pid}-${concurrency}`),
          ],
        ),
        suite,
        { concurrency, folder },
      );
    });

    async function client(name: string, owner: Owner): Promise<RawPeer> {
      return RawPeer.connect(await sidecar.port(name), owner);
    }

    function upstream(name: string): RawUpstream {
      const found = upstreams.get(name);
      assert.ok(found);
      return found;
    }

    /** Connections to a cluster. */
    async function active(name: string): Promise<number> {
      return sidecar.stat(`cluster.${name}.upstream_cx_active`);
    }

    /** The other side has ended the connection, in whatever way; so does this one. */
    async function ended(peer: RawPeer): Promise<void> {
      await peer.readToEnd();
      peer.socket.destroy();
      await peer.closed;
    }

    /** The fields of the last access-log line of that chain, once there are so many of it. */
    async function logged(chain: string, count = 1): Promise<readonly string[]> {
      let lines: string[] = [];
      await eventually(`${count} lines of ${chain} are in the access log`, () => {
        const all = existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : [];
        lines = all.filter((line) => line.startsWith(`${chain}|`));
        return lines.length >= count;
      });
      return (lines.at(-1) ?? "").split("|").slice(1);
    }

    test("bytes pass both ways, the server may speak first, and each end is passed on alone", async (t) => {
      const peer = await client("plain", t);
      const server = await upstream("plain").next();
      await server.send("220 hello\r\n");
      assert.equal(await peer.readUntil("\r\n"), "220 hello\r\n");
      await peer.send("question");
      peer.end();
      assert.equal(await server.readToEnd(), "question");
      await server.send("late answer");
      server.end();
      assert.equal(await peer.readToEnd(), "late answer");
      await Promise.all([peer.closed, server.closed]);
      assert.equal(peer.error, undefined);
      const [flags, received, sent, host, name] = await logged("plain");
      assert.deepEqual([flags, received, sent, name], ["-", "8", "22", "plain"]);
      assert.equal(host, `127.0.0.1:${upstream("plain").port}`);
    });

    test("a connection that breaks breaks the other one", async (t) => {
      const peer = await client("broken", t);
      const server = await upstream("broken").next();
      await peer.send("x");
      await server.read(1);
      server.reset();
      await ended(peer);
      assert.equal(peer.error, "ECONNRESET");

      const another = await client("broken", t);
      const itsServer = await upstream("broken").next();
      await itsServer.send("y");
      await another.read(1);
      another.reset();
      await ended(itsServer);
      assert.equal(itsServer.error, "ECONNRESET");
    });

    test("a reader that stands still stops its writer, and everything arrives in the end", async (t) => {
      const peer = await client("flow", t);
      const server = await upstream("flow").next();
      server.socket.pause();
      const chunk = Buffer.alloc(1 << 20, "z");
      let sent = 0;
      while (peer.socket.write(chunk)) sent++;
      sent++;
      // Both kernels and the watermarks hold a few MiB; far from what is sent.
      for (; sent < 64; sent++) peer.socket.write(chunk);
      peer.end();
      await eventually(
        "the sidecar has stopped reading",
        async () => (await sidecar.stat("tcp.flow.downstream_flow_control_paused_reading_total")) > 0,
      );
      let received = 0;
      server.socket.removeAllListeners("data");
      server.socket.on("data", (bytes) => (received += bytes.length));
      server.socket.resume();
      await eventually("everything has arrived", () => received === sent * chunk.length);
      server.end();
      await ended(peer);
    });

    test("a cluster takes as many connections as its circuit breaker allows", async (t) => {
      const first = await client("limited", t);
      const server = await upstream("limited").next();
      const second = await client("limited", t);
      assert.equal(await second.readToEnd(), "");
      second.end();
      const [flags] = await logged("limited");
      assert.equal(flags, "UO");
      assert.equal(await sidecar.stat("cluster.limited.upstream_cx_overflow"), 1);
      first.end();
      server.end();
      await Promise.all([first.closed, server.closed]);
      await eventually("its place is free", async () => {
        const third = await client("limited", t);
        const came = upstream("limited").accepted >= 2;
        third.socket.destroy();
        return came;
      });
    });

    test("without a byte in either direction the connection ends, and after its time in any case", async (t) => {
      const idle = await client("idle", t);
      const idleServer = await upstream("idle").next();
      await Promise.all([ended(idle), ended(idleServer)]);
      assert.equal(await sidecar.stat("tcp.idle.idle_timeout"), 1);
      const old = await client("old", t);
      const oldServer = await upstream("old").next();
      await oldServer.send("still here");
      await Promise.all([ended(old), ended(oldServer)]);
      const [flags] = await logged("old");
      assert.equal(flags, "DT");
      assert.equal(await sidecar.stat("tcp.old.max_downstream_connection_duration"), 1);
    });

    test("where nobody can be reached the client is let go, and the log says why", async (t) => {
      for (const [name, flags] of [
        ["refused", "UF,URX"],
        ["absent", "NC"],
        ["empty", "UH"],
      ] as const) {
        const peer = await client(name, t);
        assert.equal(await peer.readToEnd(), "");
        assert.equal((await logged(name))[0], flags, name);
      }
      assert.equal(await sidecar.stat("cluster.refused.upstream_cx_connect_fail"), 3);
      assert.equal(await sidecar.stat("cluster.refused.upstream_cx_connect_attempts_exceeded"), 1);
      assert.equal(await sidecar.stat("tcp.absent.downstream_cx_no_route"), 1);
      assert.equal(await sidecar.stat("cluster.empty.upstream_cx_none_healthy"), 1);
    });

    test("Unix sockets, with a path and abstract ones, on both sides", async (t) => {
      assert.equal(statSync(`${folder}/in.sock`).mode & 0o777, 0o600);
      for (const [name, into, out] of [
        ["pipe", `${folder}/in.sock`, `${folder}/out.sock`],
        ["abstract", `\0heddle-in-${process.pid}-${concurrency}`, `\0heddle-out-${process.pid}-${concurrency}`],
      ] as const) {
        const server = createServer((socket) => socket.pipe(socket)).listen(out);
        t.after(() => server.close());
        const peer = new RawPeer(connect({ path: into, allowHalfOpen: true }));
        t.after(() => void peer.socket.destroy());
        await peer.send("over a path");
        assert.equal((await peer.read(11)).toString(), "over a path");
        peer.end();
        await peer.closed;
        const [flags, received, , , , remote] = await logged(name);
        assert.deepEqual([flags, received, remote], ["-", "11", "-"]);
      }
    });

    test("an upstream learns by PROXY protocol whom a connection is made for", async (t) => {
      const one = await client("v1", t);
      const first = await upstream("v1").next();
      await one.send("data");
      const line = await first.readUntil("\r\n");
      assert.equal(line, `PROXY TCP4 127.0.0.1 127.0.0.1 ${one.socket.localPort} ${await sidecar.port("v1")}\r\n`);
      assert.equal((await first.read(4)).toString(), "data");

      const two = await client("v2", t);
      const second = await upstream("v2").next();
      const header = await second.read(28); // before any byte of the client
      assert.equal(header.readUInt16BE(24), two.socket.localPort);
      assert.equal(header[13], 0x11);
      await two.send("data");
      assert.equal((await second.read(4)).toString(), "data");
      for (const peer of [one, two]) peer.end();
      for (const peer of [first, second]) peer.end();
      await Promise.all([one, two, first, second].map(({ closed }) => closed));
    });

    test("requests of different clients never share a connection that tells whom it is for", async (t) => {
      const clients = [await client("http", t), await client("http", t)];
      const servers = new Map<number | undefined, RawPeer>();
      for (const peer of [...clients, ...clients]) {
        await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        const port = peer.socket.localPort;
        let server = servers.get(port);
        if (server === undefined) {
          server = await upstream("http-v2").next();
          servers.set(port, server);
          assert.equal((await server.read(28)).readUInt16BE(24), port);
        }
        assert.equal((await server.message()).startLine, "GET / HTTP/1.1");
        await server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert.equal((await peer.message()).status, 200);
      }
      assert.equal(upstream("http-v2").accepted, 2);
      for (const peer of clients) peer.socket.destroy();
    });

    test("what PROXY protocol tells of a client is what the log, the chains and the upstream learn", async (t) => {
      const peer = await client("in", t);
      const tlv = [0x02, 0, 5, ...Buffer.from("a.b.c")];
      await peer.send(proxyV2([192, 0, 2, 7, 198, 51, 100, 1, 0x11, 0x22, 0, 80], tlv, "data"));
      const server = await upstream("in").next();
      assert.equal((await server.read(4)).toString(), "data");
      peer.end();
      server.end();
      await peer.closed;
      const [flags, received, , , , remote, direct, authority] = await logged("in");
      assert.deepEqual(
        [flags, received, remote, direct, authority],
        ["-", "4", "192.0.2.7:4386", "127.0.0.1", "a.b.c"],
      );
      assert.equal((await sidecar.stat("proxy_proto.versions.v2.found")) > 0, true);

      const forwarded = await client("forwarded", t);
      await forwarded.send(proxyV2([192, 0, 2, 7, 198, 51, 100, 1, 0x11, 0x22, 0, 80], tlv, "data"));
      const next = await upstream("forwarded").next();
      assert.deepEqual(await next.read(40), proxyV2([192, 0, 2, 7, 198, 51, 100, 1, 0x11, 0x22, 0, 80], tlv, "data"));
      forwarded.socket.destroy();

      const friend = await client("chains", t);
      await friend.send("PROXY TCP4 192.0.2.200 127.0.0.1 1 2\r\n");
      const met = await upstream("chains").next();
      friend.end();
      met.end();
      const stranger = await client("chains", t);
      await stranger.send("PROXY TCP4 198.51.100.1 127.0.0.1 1 2\r\n");
      await ended(stranger);
      assert.equal(upstream("chains").accepted, 1);
    });

    test("the client of HTTP is the one that PROXY protocol tells", async (t) => {
      const peer = await client("http-in", t);
      await peer.send("PROXY TCP6 2001:db8::5 ::1 4000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
      const server = await upstream("in-http").next();
      assert.equal((await server.message()).headers.get("x-forwarded-for"), "2001:db8::5");
      await server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      assert.equal((await peer.message()).status, 200);
      peer.socket.destroy();
    });

    test("a header that comes byte by byte is taken, one that is wrong or does not come ends the connection", async (t) => {
      const slow = await client("in-slow", t);
      for (const byte of "PROXY TCP4 192.0.2.9 127.0.0.1 1 2\r\n") await slow.send(byte);
      const server = await upstream("in-slow").next();
      slow.end();
      server.end();
      await slow.closed;

      const errors = await sidecar.stat("proxy_proto.slow.versions.v1.error");
      const wrong = await client("in-slow", t);
      await wrong.send("PROXY TCP4 192.0.2.999 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\n\r\n");
      await ended(wrong);
      assert.equal((await sidecar.stat("proxy_proto.slow.versions.v1.error")) - errors, 1);

      const without = await client("in-slow", t);
      await without.send("GET / HTTP/1.1\r\n\r\n");
      await ended(without);
      assert.equal((await sidecar.stat("proxy_proto.slow.not_found_disallowed")) > 0, true);

      const silent = await client("quick", t);
      await ended(silent);
      assert.equal(await sidecar.stat("listener.quick.downstream_pre_cx_timeout"), 1);
      const patient = await client("patient", t);
      await patient.send("PROXY TCP4");
      const late = await upstream("late").next();
      assert.equal((await late.read(10)).toString(), "PROXY TCP4");
      patient.end();
      late.end();
      await patient.closed;
    });

    test("where it is allowed a connection without PROXY protocol is served as it is", async (t) => {
      const peer = await client("loose", t);
      await peer.send("PRO no");
      const server = await upstream("loose").next();
      assert.equal((await server.read(6)).toString(), "PRO no");
      peer.end();
      server.end();
      await peer.closed;
      assert.equal(await sidecar.stat("proxy_proto.not_found_allowed"), 1);
    });

    test("connections that end in every way leave no descriptor behind", async (t) => {
      const server = upstream("leaks");
      server.serve(async (peer) => {
        await peer.send("hello");
        await peer.readToEnd();
        peer.end();
      });
      const descriptors = (): number => readdirSync(`/proc/${sidecar.pid}/fd`).length;
      const round = async (): Promise<void> => {
        const peers = await Promise.all(Array.from({ length: 40 }, () => client("leaks", t)));
        await Promise.all(
          peers.map(async (peer, index) => {
            if (index % 4 !== 0) await peer.read(5);
            if (index % 2 === 0) peer.reset();
            else peer.end();
            await peer.closed;
          }),
        );
        await eventually("every tunnel is gone", async () => (await active("leaks")) === 0);
      };
      await round();
      const before = descriptors();
      for (let i = 0; i < 3; i++) await round();
      // Other tests of this sidecar have connections of their own, so a few more or less say nothing.
      await eventually("no descriptor is left", () => descriptors() < before + 40);
    });

    test("echo sends back what comes, and a direct response is the same for everybody", async (t) => {
      const peer = await client("echo", t);
      await peer.send("hall");
      assert.equal((await peer.read(4)).toString(), "hall");
      peer.end();
      await peer.closed;
      const other = await client("answer", t);
      await other.send("who is there?");
      assert.equal(await other.readToEnd(), "not here\n");
      other.end();
      await other.closed;
      assert.equal(other.error, undefined);
    });
  });
}

test("the file of a Unix socket goes with the sidecar, and one that a dead sidecar left is taken over", async (t) => {
  const folder = scratchFolder(t);
  const path = `${folder}/in.sock`;
  const bootstrap = staticBootstrap(
    [{ ...proxied("pipe", `${folder}/log`), address: { pipe: { path } } }],
    [cluster("pipe", [1])],
  );
  const nobody: Owner = { after: () => undefined }; // it does not end as it should, on purpose
  const first = await startSidecar(bootstrap, nobody, { folder });
  first.process.kill("SIGKILL");
  assert.equal(await first.ended, "SIGKILL");
  assert.ok(existsSync(path));
  const second = await startSidecar(bootstrap, t, { folder });
  const socket = connect(path);
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.destroy();
  second.terminate();
  assert.equal(await second.ended, 0);
  assert.equal(existsSync(path), false);
});

function pipeCluster(name: string, path: string): Json {
  const endpoint = { endpoint: { address: { pipe: { path } } } };
  return cluster(name, [], { load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] } });
}

/** A header of version 2 for TCP over IPv4, with what follows. */
function proxyV2(addresses: readonly number[], tlvs: readonly number[], data: string): Buffer {
  const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
  const length = addresses.length + tlvs.length;
  return Buffer.from([
    ...signature,
    0x21,
    0x11,
    length >> 8,
    length & 0xff,
    ...addresses,
    ...tlvs,
    ...Buffer.from(data),
  ]);
}
