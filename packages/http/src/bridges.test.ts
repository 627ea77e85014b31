import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type {
  ClientConnection,
  RequestDecoder,
  RequestEncoder,
  ResponseDecoder,
  ResponseEncoder,
  ServerConnection,
} from "./codec.ts";
import { H1ClientConnection } from "./h1/client-connection.ts";
import { H1ServerConnection } from "./h1/server-connection.ts";
import { H2ClientConnection } from "./h2/client-connection.ts";
import { H2ServerConnection } from "./h2/server-connection.ts";
import { RequestHead, ResponseHead } from "./head.ts";
import { HeaderMap } from "./header-map.ts";
import { entries, ReceivedRequest, ReceivedResponse } from "./testing/received-message.ts";
import { RecordingTransport } from "./testing/recording-transport.ts";
import { webSocketAccept } from "./websocket/handshake.ts";

/*
 * A client, a proxy of two codecs and an upstream, each hop with HTTP/1 or HTTP/2. The proxy hands on what it hears, so what has to
 * differ between the hops is up to the codecs.
 */

type Version = "h1" | "h2";
const VERSIONS: readonly Version[] = ["h1", "h2"];
const OPTIONS = { allowConnect: true };

/** Two connections of one hop. */
class Hop {
  readonly client: ClientConnection;
  readonly server: ServerConnection;
  readonly #up = new RecordingTransport();
  readonly #down = new RecordingTransport();

  constructor(version: Version, onRequest: (encoder: ResponseEncoder) => RequestDecoder) {
    const owner = { onRequest, onProtocolError: () => undefined, onIdle: () => undefined };
    const caller = { onCapacityChange: () => undefined, onClose: () => undefined };
    this.client =
      version === "h1" ? new H1ClientConnection(this.#up, caller) : new H2ClientConnection(this.#up, caller, OPTIONS);
    this.server =
      version === "h1" ? new H1ServerConnection(this.#down, owner) : new H2ServerConnection(this.#down, owner, OPTIONS);
  }

  /** False: there was nothing to carry. */
  carry(): boolean {
    const [up, down] = [this.#up.take(), this.#down.take()];
    if (up !== "") this.server.receive(Buffer.from(up, "latin1"));
    if (down !== "") this.client.receive(Buffer.from(down, "latin1"));
    return up !== "" || down !== "";
  }
}

class World {
  readonly near: Hop;
  readonly far: Hop;
  readonly requests: ReceivedRequest[] = [];

  constructor(down: Version, up: Version) {
    this.far = new Hop(up, (encoder) => {
      const request = new ReceivedRequest(encoder);
      this.requests.push(request);
      return request;
    });
    this.near = new Hop(down, (encoder) => proxied(encoder, this.far.client));
    this.carry();
  }

  start(): { readonly encoder: RequestEncoder; readonly response: ReceivedResponse } {
    const response = new ReceivedResponse();
    return { encoder: this.near.client.startExchange(response), response };
  }

  get request(): ReceivedRequest {
    return this.requests[0]!;
  }

  carry(): this {
    while ([this.near.carry(), this.far.carry()].includes(true));
    return this;
  }
}

function proxied(answer: ResponseEncoder, upstream: ClientConnection): RequestDecoder {
  const back: ResponseDecoder = {
    onInformational: (head) => answer.sendInformational(head),
    onHead: (head, endStream) => answer.sendHead(head, endStream),
    onData: (chunk, endStream) => void answer.sendData(chunk, endStream),
    onTrailers: (trailers) => answer.sendTrailers(trailers),
    onReset: (failure) => answer.reset(failure),
    onDrain: () => undefined,
  };
  const request = upstream.startExchange(back);
  return {
    onHead: (head, endStream) => request.sendHead(head, endStream),
    onData: (chunk, endStream) => void request.sendData(chunk, endStream),
    onTrailers: (trailers) => request.sendTrailers(trailers),
    onReset: (failure) => request.reset(failure),
    onDrain: () => undefined,
  };
}

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

for (const down of VERSIONS) {
  for (const up of VERSIONS) {
    describe(`${down} to ${up}`, () => {
      test("heads, bodies and trailers", () => {
        const world = new World(down, up);
        const { encoder, response } = world.start();
        const fields = { te: "trailers", cookie: "a=1; b=2", "x-a": "1" };
        encoder.sendHead(new RequestHead("POST", "http", "a.test", "/x?y", HeaderMap.from(fields)), false);
        encoder.sendData(Buffer.from("body"), false);
        encoder.sendTrailers(HeaderMap.from({ "x-t": "1" }));
        world.carry();
        const { head, body, trailers } = world.request;
        assert.deepEqual([head?.method, head?.authority, head?.path], ["POST", "a.test", "/x?y"]);
        assert.deepEqual(entries(head!.headers), fields);
        assert.deepEqual([body, trailers], ["body", { "x-t": "1" }]);
        const answer = world.request.encoder;
        answer.sendInformational(new ResponseHead(103, HeaderMap.from({ link: "</a>" })));
        answer.sendHead(new ResponseHead(200, HeaderMap.from({ "x-b": "2" })), false);
        answer.sendData(Buffer.from("answer"), false);
        answer.sendTrailers(HeaderMap.from({ "grpc-status": "0" }));
        world.carry();
        assert.deepEqual([response.informational[0]?.status, response.head?.status], [103, 200]);
        assert.deepEqual(entries(response.head!.headers), { "x-b": "2" });
        assert.deepEqual([response.body, response.trailers], ["answer", { "grpc-status": "0" }]);
      });

      test("a WebSocket", () => {
        const world = new World(down, up);
        const { encoder, response } = world.start();
        const fields = { "sec-websocket-key": KEY, "sec-websocket-version": "13", "sec-websocket-protocol": "chat" };
        encoder.sendHead(
          new RequestHead("GET", "http", "a.test", "/ws", HeaderMap.from(fields), "1.1", "websocket"),
          false,
        );
        world.carry();
        const { head } = world.request;
        assert.deepEqual([head?.method, head?.upgrade, head?.path], ["GET", "websocket", "/ws"]);
        const key = head!.headers.get("sec-websocket-key")!;
        assert.equal(key === KEY, down === "h1" && up === "h1", "HTTP/2 carries no key, so one is made behind it");
        assert.equal(head?.headers.get("sec-websocket-version"), "13");
        const accept = { upgrade: "websocket", "sec-websocket-accept": webSocketAccept(key), "x-s": "1" };
        world.request.encoder.sendHead(new ResponseHead(101, HeaderMap.from(accept)), false);
        world.carry();
        assert.equal(response.head?.status, 101);
        assert.equal(response.head?.headers.get("upgrade"), "websocket");
        assert.equal(response.head?.headers.get("sec-websocket-accept"), webSocketAccept(KEY));
        assert.equal(response.head?.headers.get("x-s"), "1");
        encoder.sendData(Buffer.from("to"), false);
        world.carry();
        world.request.encoder.sendData(Buffer.from("fro"), false);
        world.carry();
        assert.deepEqual([world.request.body, response.body], ["to", "fro"]);
      });

      test("an upgrade that is refused", () => {
        const world = new World(down, up);
        const { encoder, response } = world.start();
        encoder.sendHead(new RequestHead("GET", "http", "a.test", "/ws", new HeaderMap(), "1.1", "websocket"), false);
        world.carry();
        const refusal = new ResponseHead(426, HeaderMap.from({ "content-length": "2" }));
        world.request.encoder.sendHead(refusal, false);
        world.request.encoder.sendData(Buffer.from("no"), true);
        world.carry();
        assert.deepEqual([response.head?.status, response.body, response.ended], [426, "no", true]);
      });

      test("CONNECT", () => {
        const world = new World(down, up);
        const { encoder, response } = world.start();
        encoder.sendHead(new RequestHead("CONNECT", "http", "b.test:443", "", new HeaderMap()), false);
        world.carry();
        assert.deepEqual([world.request.head?.method, world.request.head?.authority], ["CONNECT", "b.test:443"]);
        world.request.encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
        world.carry();
        encoder.sendData(Buffer.from("to"), false);
        world.carry();
        world.request.encoder.sendData(Buffer.from("fro"), true);
        world.carry();
        assert.deepEqual([response.head?.status, world.request.body, response.body], [200, "to", "fro"]);
      });
    });
  }
}
