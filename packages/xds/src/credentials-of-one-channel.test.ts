import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { credentialsOfOneChannel } from "./credentials-of-one-channel.ts";
import { eventually } from "./testing.ts";

test("a channel that is closed after a failed attempt does not connect once more", async (t) => {
  const grpc = new Server();
  const grpcPort = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  let accepted = 0;
  const sockets: Socket[] = [];
  // Refuses the first connection, and then leads to the server.
  const gate = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined));
    accepted += 1;
    if (accepted === 1) socket.end("no HTTP/2");
    else {
      const server = connect(grpcPort, "127.0.0.1").on("error", () => undefined);
      sockets.push(server);
      socket.pipe(server).pipe(socket);
    }
  });
  await new Promise<void>((resolve) => gate.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    gate.close();
    grpc.forceShutdown();
  });

  const { port } = gate.address() as { port: number };
  // The next attempt comes at once, and not after gRPC's second.
  const client = new Client(`127.0.0.1:${port}`, credentialsOfOneChannel(credentials.createInsecure()), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
  });
  let failed = false;
  client
    .makeBidiStreamRequest("/a/b", asIs, asIs)
    .on("error", () => undefined)
    .on("status", () => {
      failed = true;
      client.close();
    });
  await eventually(() => failed, "the first attempt fails");
  const later = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  t.after(() => later.close());
  await new Promise<void>((resolve, reject) =>
    later.waitForReady(Date.now() + 30_000, (error) => (error === undefined ? resolve() : reject(error))),
  );
  // Whatever the closed channel had to do by itself it has done: its back-off of 100 ms is over.
  const overAtMs = performance.now() + 300;
  await eventually(() => performance.now() > overAtMs, "the back-off is over");
  assert.equal(accepted, 2, "the first attempt, and the second client's");
});

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
