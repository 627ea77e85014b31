import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { WebSocket } from "ws";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";
import { type OpenOptions, openWebSocket, startWebSocketPeer, type WebSocketPeer } from "../harness/websocket-peer.ts";

const PROTOCOLS = ["h1", "h2"] as const;
type Protocol = (typeof PROTOCOLS)[number];

/** What stands between client and server, by the client's protocol and the server's. */
interface Way {
  readonly sidecars: 1 | 2;
  readonly client: Protocol;
  readonly server: Protocol;
}

/** All four combinations; between two sidecars is HTTP/2 in any case. */
const WAYS: readonly Way[] = [
  { sidecars: 1, client: "h1", server: "h2" },
  { sidecars: 1, client: "h2", server: "h1" },
  { sidecars: 1, client: "h2", server: "h2" },
  { sidecars: 2, client: "h1", server: "h1" },
  { sidecars: 2, client: "h2", server: "h2" },
];

describe("ws through sidecars", () => {
  const suite = lastFirst({ after });
  const peers = new Map<Protocol, WebSocketPeer>();
  let chain: SidecarChain;

  before(async () => {
    for (const speaks of PROTOCOLS) peers.set(speaks, await startWebSocketPeer(speaks, suite));
    const http = { upgrade_configs: [{ upgrade_type: "websocket" }], http2_protocol_options: { allow_connect: true } };
    const lane = { http, http2: { allow_connect: true } };
    chain = await startChain(suite, {
      h1: { ...lane, port: peers.get("h1")!.port, speaks: "h1" },
      h2: { ...lane, port: peers.get("h2")!.port, speaks: "h2" },
    });
  });

  for (const way of WAYS) {
    const name = `${way.client} client, ${way.sidecars} of them, ${way.server} server`;
    const open = (owner: Owner, options: OpenOptions = {}): Promise<WebSocket> => {
      const port = way.sidecars === 1 ? chain.backPort(way.server) : chain.frontPort(way.server);
      return openWebSocket(way.client, port, owner, options);
    };
    const server = (): WebSocketPeer => peers.get(way.server)!;

    test(`${name}: messages of every size come back, text and bytes, in their order`, async (t) => {
      const socket = await open(t);
      const sent = [0, 1, 125, 126, 65_535, 65_536, 300_000].flatMap((size) => [
        randomBytes(size),
        "ü☺x".repeat(size / 6),
      ]);
      const back = messages(socket, sent.length);
      for (const message of sent) socket.send(message);
      for (const [i, { data, isBinary }] of (await back).entries()) {
        const message = sent[i]!;
        assert.equal(isBinary, typeof message !== "string");
        assert.ok(data.equals(Buffer.from(message)), `message ${i}`);
      }
      await closed(socket, 1000, "");
    });

    test(`${name}: a message in fragments, and one of 16 MiB`, async (t) => {
      const socket = await open(t);
      const large = randomBytes(16 * 1024 * 1024);
      const back = messages(socket, 2);
      for (let i = 0; i < 50; i += 1) socket.send(`part ${i},`, { fin: false });
      socket.send("end", { fin: true });
      socket.send(large);
      const [fragments, whole] = await back;
      assert.equal(String(fragments!.data), `${Array.from({ length: 50 }, (_, i) => `part ${i},`).join("")}end`);
      assert.ok(whole!.data.equals(large));
    });

    test(`${name}: pings and pongs in both directions`, async (t) => {
      const socket = await open(t);
      const pong = once(socket, "pong");
      socket.ping("from the client");
      assert.equal(String((await pong)[0]), "from the client");
      const ping = once(socket, "ping");
      socket.send("ping");
      assert.equal(String((await ping)[0]), "from the server");
    });

    test(`${name}: close codes and reasons, from either end`, async (t) => {
      const first = await open(t);
      await closed(first, 4321, "the client goes");
      await eventually("the server has seen why", () =>
        server().closed.some(({ code, reason }) => code === 4321 && reason === "the client goes"),
      );
      const second = await open(t);
      const end = once(second, "close");
      second.send("close 4322 the server goes");
      const [code, reason] = (await end) as [number, Buffer];
      assert.deepEqual([code, String(reason)], [4322, "the server goes"]);
    });

    test(`${name}: an end without a close frame, from either side, ends the other`, async (t) => {
      const first = await open(t);
      const lost = server().closed.length;
      first.terminate();
      await eventually("the server's side has ended", () => server().closed.length > lost);
      assert.equal(server().closed.at(-1)!.code, 1006);
      const second = await open(t);
      const end = once(second, "close");
      second.send("cut");
      assert.equal((await end)[0], 1006);
    });

    test(`${name}: a subprotocol is agreed on`, async (t) => {
      const socket = await open(t, { protocols: ["chat.v2", "chat.v1"] });
      socket.send("hello");
      const [{ data }] = (await messages(socket, 1)) as [Message];
      assert.equal(String(data), "hello");
      if (way.client === "h1") assert.equal(socket.protocol, "chat.v2");
      const { "sec-websocket-protocol": asked } = server().heads.at(-1)!;
      assert.match(String(asked), /^chat\.v2,\s?chat\.v1$/);
    });

    if (way.client !== "h1" || way.server !== "h1") continue;

    test(`${name}: permessage-deflate is agreed on by the ends`, async (t) => {
      const socket = await open(t, { deflate: true });
      assert.match(socket.extensions, /permessage-deflate/);
      const back = messages(socket, 1);
      socket.send("compressible ".repeat(10_000));
      assert.equal(String((await back)[0]!.data), "compressible ".repeat(10_000));
    });
  }
});

interface Message {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

function messages(socket: WebSocket, count: number): Promise<readonly Message[]> {
  const came: Message[] = [];
  return new Promise((resolve, reject) => {
    socket.on("message", (data: Buffer, isBinary) => {
      came.push({ data, isBinary });
      if (came.length === count) resolve(came);
    });
    socket.once("close", (code) => reject(new Error(`closed with ${code} after ${came.length} messages`)));
    socket.once("error", reject);
  });
}

/** Closes and waits until the other end has agreed. */
async function closed(socket: WebSocket, code: number, reason: string): Promise<void> {
  const end = once(socket, "close");
  socket.close(code, reason);
  const [agreed] = (await end) as [number];
  assert.equal(agreed, code);
}
