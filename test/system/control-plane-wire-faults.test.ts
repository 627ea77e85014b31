import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { adsBootstrap } from "../harness/control-plane.ts";
import { eventually } from "../harness/eventually.ts";
import { ForeignControlPlane } from "../harness/foreign-control-plane.ts";
import { type Fault, Gate } from "../harness/gate.ts";
import { data, type Fields, goAway, headers, rstStream, settings, settingsAck } from "../harness/h2-frames.ts";
import { type RunningLoad, startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";
import { answersAre, swappedWorld } from "../harness/swapped-world.ts";

/** gRPC's stream on a new connection. */
const STREAM = 1;
const OK: Fields = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** Whatever else may listen where the control plane should. */
const FAULTS: Readonly<Record<string, Fault>> = {
  "that closes connections": (socket) => socket.destroy(),
  "that resets connections": (socket) => socket.resetAndDestroy(),
  "of HTTP/1": (socket) => socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
  "of noise": (socket) => socket.end(Buffer.alloc(4096, 0xa5)),
  "that is busy elsewhere (GOAWAY at once)": answer(goAway(0, 0), true),
  "that ends the stream with GOAWAY": answer(
    Buffer.concat([headers(STREAM, OK, { endStream: false }), goAway(STREAM, 0), rstStream(STREAM, 8)]),
  ),
  "that has no such service": answer(
    headers(STREAM, [
      [":status", "404"],
      ["content-type", "text/html"],
    ]),
  ),
  "that ends the call at once, without a status": answer(headers(STREAM, OK)),
  "whose message is cut off": answer(
    Buffer.concat([headers(STREAM, OK, { endStream: false }), data(STREAM, message(1000, "cut"), true)]),
  ),
  "whose message says that it is 4 GiB long": answer(
    Buffer.concat([headers(STREAM, OK, { endStream: false }), data(STREAM, message(0xffffffff, "no"), true)]),
  ),
  "whose message is compressed in no known way": answer(
    Buffer.concat([headers(STREAM, OK, { endStream: false }), data(STREAM, message(2, "no", 1))]),
  ),
  "that sends more than its window": answer(
    Buffer.concat([
      headers(STREAM, OK, { endStream: false }),
      ...Array.from({ length: 1100 }, () => data(STREAM, message(1 << 30, "x".repeat(16_000)))),
    ]),
  ),
  "that sends frames of a stream that nobody opened": answer(data(77, "hello")),
  "whose header block is broken": answer(headers(STREAM, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))),
};

describe("a sidecar whose control plane's port belongs to something else for a while", () => {
  const suite = lastFirst({ after });
  let controlPlane: ForeignControlPlane;
  let gate: Gate;
  let sidecar: SidecarProcess;
  let load: RunningLoad;
  let ports: { readonly a: number; readonly b: number };
  let at: "a" | "b" = "a";

  before(async () => {
    const [a, b] = [await RawUpstream.listen(suite), await RawUpstream.listen(suite)];
    a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
    b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
    ports = { a: a.port, b: b.port };
    controlPlane = await ForeignControlPlane.start(suite, { variant: "delta", world: good() });
    gate = await Gate.start(suite, controlPlane.port);
    sidecar = await startSidecar(adsBootstrap(gate.port, "delta"), suite);
    load = startLoad(`http://127.0.0.1:${await sidecar.port("in")}/`, 2, suite);
    suite.after(async () => {
      const { failures } = await load.stop();
      assert.deepEqual([...failures], [], "no request has failed");
    });
    await answersAre(load, "a");
  });

  for (const [what, fault] of Object.entries(FAULTS)) {
    test(`a server ${what}: traffic goes on, and the control plane is followed when it is back`, async () => {
      const { faulted } = gate;
      gate.fault = fault;
      gate.cut();
      await eventually("it is met", () => gate.faulted > faulted, 30_000);
      await eventually("it is given up", async () => (await state()) !== "connected");
      gate.fault = undefined;
      await eventually(
        "the control plane is back",
        async () => gate.open.length === 1 && (await state()) === "connected",
        30_000,
      );
      at = at === "a" ? "b" : "a";
      controlPlane.set(good());
      await answersAre(load, at);
    });
  }

  function good() {
    return swappedWorld({ to: "first", endpoints: { first: [{ port: ports[at] }] } });
  }

  async function state(): Promise<string> {
    return /"state": ?"(idle|connecting|connected|waiting)"/.exec(await sidecar.page("/inspect"))?.[1] ?? "";
  }
});

/** Once the client has begun, the server's settings and these bytes. */
function answer(bytes: Buffer, end = false): Fault {
  return (socket) => {
    socket.once("data", () => {
      socket.write(Buffer.concat([settings(), settingsAck(), bytes]));
      if (end) socket.end();
    });
  };
}

/** A gRPC message that says that length of itself. */
function message(length: number, text: string, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = compressed;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}
