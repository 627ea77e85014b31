import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { cluster, staticBootstrap, udpListener } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

/** A UDP socket as a script. */
class Peer {
  readonly socket: Socket;
  readonly received: { readonly text: string; readonly port: number }[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (bytes, { port }) => this.received.push({ text: bytes.toString(), port }));
  }

  static async open(owner: Owner): Promise<Peer> {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    owner.after(() => void socket.close());
    await once(socket, "listening");
    return new Peer(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(text: string | Buffer, port: number): void {
    this.socket.send(text, port, "127.0.0.1");
  }

  /** From now on each datagram is answered with itself. */
  echo(): void {
    this.socket.on("message", (bytes, { port }) => this.send(bytes, port));
  }

  /** The n-th datagram that came. */
  async nth(n: number): Promise<{ readonly text: string; readonly port: number }> {
    await eventually(`${n + 1} datagrams have come`, () => this.received.length > n);
    return this.received[n]!; // it has come
  }
}

for (const concurrency of [1, 3]) {
  describe(`UDP through a sidecar of ${concurrency}`, () => {
    const suite = lastFirst({ after });
    const servers: Record<string, Peer> = {};
    let sidecar: SidecarProcess;
    let log: string;

    before(async () => {
      const folder = scratchFolder(suite);
      log = `${folder}/udp.log`;
      for (const name of ["echo", "scripted", "first", "second", "few", "big"]) {
        servers[name] = await Peer.open(suite);
      }
      servers["echo"]?.echo();
      servers["first"]?.echo();
      servers["second"]?.echo();
      const port = (name: string): number => servers[name]?.port ?? 0;
      const accessLog = {
        name: "sessions",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
          path: log,
          log_format: {
            text_format_source: {
              inline_string:
                "%ACCESS_LOG_TYPE%|%BYTES_RECEIVED%|%BYTES_SENT%|%UPSTREAM_HOST%|%DOWNSTREAM_REMOTE_ADDRESS%\n",
            },
          },
        },
      };
      sidecar = await startSidecar(
        staticBootstrap(
          [
            udpListener("echo", { cluster: "echo" }),
            udpListener("scripted", { cluster: "scripted", idle_timeout: "1.5s", access_log: [accessLog] }),
            udpListener("spread", { cluster: "spread", use_per_packet_load_balancing: true }),
            udpListener("few", { cluster: "few" }),
            udpListener("absent", { cluster: "absent" }),
            udpListener("empty", { cluster: "empty" }),
            udpListener("big", { cluster: "big", upstream_socket_config: { max_rx_datagram_size: 100 } }),
          ],
          [
            cluster("echo", [port("echo")]),
            cluster("scripted", [port("scripted")]),
            cluster("spread", [port("first"), port("second")]),
            cluster("few", [port("few")], { circuit_breakers: { thresholds: [{ max_connections: 1 }] } }),
            cluster("empty", []),
            cluster("big", [port("big")]),
          ],
        ),
        suite,
        { concurrency, folder },
      );
    });

    test("each of many clients gets the answers to its own datagrams", async (t) => {
      const to = await sidecar.port("echo");
      const clients = await Promise.all(Array.from({ length: 12 }, () => Peer.open(t)));
      for (const [index, client] of clients.entries()) {
        for (let i = 0; i < 5; i++) client.send(`${index}-${i}`, to);
      }
      for (const [index, client] of clients.entries()) {
        await client.nth(4);
        assert.deepEqual(
          client.received.map(({ text }) => text).sort(),
          Array.from({ length: 5 }, (_, i) => `${index}-${i}`),
        );
        assert.ok(client.received.every(({ port }) => port === to));
      }
      // A session has one socket, so the server has seen as many senders as there are clients.
      assert.equal(new Set(servers["echo"]?.received.map(({ port }) => port)).size, clients.length);
      assert.equal(await sidecar.stat("udp.echo.downstream_sess_total"), clients.length);
      assert.equal(await sidecar.stat("udp.echo.downstream_sess_rx_datagrams"), 60);
      assert.equal(await sidecar.stat("udp.echo.downstream_sess_tx_datagrams"), 60);
      assert.equal(await sidecar.stat("cluster.echo.udp.sess_rx_datagrams"), 60);
    });

    test("a session ends when it is idle, is logged, and the next datagram begins another one", async (t) => {
      const to = await sidecar.port("scripted");
      const server = servers["scripted"]!;
      const client = await Peer.open(t);
      client.send("hello", to);
      const first = await server.nth(0);
      server.send("to you", first.port);
      await client.nth(0);
      await eventually("the session has ended", async () => (await sidecar.stat("udp.scripted.idle_timeout")) === 1);
      let lines: string[] = [];
      await eventually("the session is logged", () => {
        lines = existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : [];
        return lines.length === 1;
      });
      assert.deepEqual(lines[0]?.split("|"), [
        "UdpSessionEnd",
        "5",
        "6",
        `127.0.0.1:${server.port}`,
        `127.0.0.1:${client.port}`,
      ]);
      client.send("again", to);
      await server.nth(1);
      assert.equal(await sidecar.stat("udp.scripted.downstream_sess_total"), 2);
      await eventually(
        "nothing is left",
        async () => (await sidecar.stat("udp.scripted.downstream_sess_active")) === 0,
      );
    });

    test("with per-packet balancing one client's datagrams go to all endpoints", async (t) => {
      const to = await sidecar.port("spread");
      const client = await Peer.open(t);
      for (let i = 0; i < 4; i++) client.send(String(i), to);
      await client.nth(3);
      assert.equal(servers["first"]?.received.length, 2);
      assert.equal(servers["second"]?.received.length, 2);
      assert.equal(await sidecar.stat("udp.spread.downstream_sess_total"), 2);
    });

    test("there are as many sessions as the circuit breaker allows connections; the rest is dropped and counted", async (t) => {
      const to = await sidecar.port("few");
      const first = await Peer.open(t);
      first.send("one", to);
      await servers["few"]!.nth(0);
      const second = await Peer.open(t);
      second.send("two", to);
      await eventually("it is counted", async () => (await sidecar.stat("cluster.few.upstream_cx_overflow")) === 1);
      first.send("three", to);
      assert.equal((await servers["few"]!.nth(1)).text, "three");

      const lost = await Peer.open(t);
      lost.send("x", await sidecar.port("absent"));
      lost.send("x", await sidecar.port("empty"));
      await eventually("both are counted", async () => {
        const noRoute = await sidecar.stat("udp.absent.downstream_sess_no_route");
        return noRoute === 1 && (await sidecar.stat("cluster.empty.upstream_cx_none_healthy")) === 1;
      });
    });

    test("datagrams that are too large are dropped, in both directions", async (t) => {
      const to = await sidecar.port("big");
      const server = servers["big"]!;
      const client = await Peer.open(t);
      client.send(Buffer.alloc(1501), to);
      client.send(Buffer.alloc(1500, "a"), to);
      const { text, port } = await server.nth(0);
      assert.equal(text.length, 1500);
      server.send(Buffer.alloc(101, "b"), port);
      server.send(Buffer.alloc(100, "c"), port);
      assert.equal((await client.nth(0)).text, "c".repeat(100));
      assert.equal(await sidecar.stat("cluster.big.udp.sess_rx_datagrams_dropped"), 1);
    });
  });
}
