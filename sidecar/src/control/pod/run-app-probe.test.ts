import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import type { AppProbe } from "./app-probes.ts";
import { runAppProbe } from "./run-app-probe.ts";

async function listen(server: Server, t: TestContext): Promise<number> {
  t.after(() => {
    (server as { closeAllConnections?: () => void }).closeAllConnections?.();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const http = (port: number, more: object = {}): AppProbe => ({
  type: "http", port, path: "/healthz?x=1", tls: false, headers: [], timeoutMs: 30_000, ...more,
}); // biome-ignore format: a table
const HERE = { host: "127.0.0.1", from: undefined };
const run = async (probe: AppProbe): Promise<number> => (await runAppProbe(probe, HERE, "kube-probe/1.34")).status;

test("HTTP: 200 to 399 passes, anything else is told as it is; the headers are those that were configured", async (t) => {
  let status = 204;
  let seen: Parameters<RequestListener>[0] | undefined;
  const port = await listen(
    createServer((request, response) => {
      seen = request;
      response.writeHead(status).end("a secret");
    }),
    t,
  );
  assert.equal(
    await run(
      http(port, {
        headers: [
          ["Host", "shop.example"],
          ["X-Probe", "a"],
          ["x-probe", "b"],
        ],
      }),
    ),
    200,
  );
  assert.equal(seen?.url, "/healthz?x=1");
  assert.equal(seen?.headers.host, "shop.example");
  assert.equal(seen?.headers["x-probe"], "a, b");
  assert.equal(seen?.headers["user-agent"], "kube-probe/1.34");
  for (status of [399, 400, 404, 500, 503]) assert.equal(await run(http(port)), status < 400 ? 200 : status);
  assert.equal((await runAppProbe(http(port), HERE, "k")).reason.includes("secret"), false);
});

test("HTTP: redirections on the same host are followed to their end, one elsewhere passes, and no other port is asked", async (t) => {
  let location = "/broken";
  const asked: string[] = [];
  const port = await listen(
    createServer((request, response) => {
      asked.push(request.url ?? "");
      if (request.url === "/broken") response.writeHead(500).end();
      else response.writeHead(302, { location }).end();
    }),
    t,
  );
  assert.equal(await run(http(port)), 500);
  location = "http://elsewhere.example/";
  assert.equal(await run(http(port)), 200);
  location = "http://127.0.0.1:1/broken";
  assert.equal(await run(http(port)), 500);
  asked.length = 0;
  location = "/again";
  assert.equal(await run(http(port)), 503);
  assert.equal(asked.length, 11);
});

test("an application that does not answer in time, one that is gone, and one that breaks off do not pass", async (t) => {
  const silent = await listen(
    createTcpServer(() => {}),
    t,
  );
  assert.equal(await run(http(silent, { timeoutMs: 20 })), 504);
  const rude = await listen(
    createTcpServer((socket) => void socket.destroy()),
    t,
  );
  assert.equal(await run(http(rude)), 503);
  assert.equal(await run({ type: "grpc", port: rude, service: "", timeoutMs: 30_000 }), 503);
  const closed = createTcpServer();
  const port = await listen(closed, t);
  await new Promise((resolve) => closed.close(resolve));
  assert.equal(await run({ type: "tcp", port, timeoutMs: 30_000 }), 503);
  assert.equal(await run({ type: "tcp", port: rude, timeoutMs: 30_000 }), 200);
});

test("gRPC: SERVING passes; NOT_SERVING, an unknown service and what is no gRPC do not", async (t) => {
  const server = createHttp2Server();
  let answer: (stream: ServerHttp2Stream, service: string) => void = () => {};
  server.on("stream", (stream, headers) => {
    assert.equal(headers[":path"], "/grpc.health.v1.Health/Check");
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => answer(stream, Buffer.concat(chunks).subarray(7).toString()));
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  t.after(() => {
    for (const session of sessions) session.destroy();
  });
  const port = await listen(server, t);
  const grpc = (service: string): AppProbe => ({ type: "grpc", port, service, timeoutMs: 30_000 });
  const reply =
    (status: number, code = "0") =>
    (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": code }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
    };
  answer = (stream, service) => reply(service === "shop" ? 1 : 2)(stream);
  assert.equal(await run(grpc("shop")), 200);
  assert.equal(await run(grpc("other")), 503);
  answer = (stream) => stream.respond({ ":status": 200, "grpc-status": "5" }, { endStream: true });
  assert.equal(await run(grpc("")), 503);
  answer = (stream) => stream.respond({ ":status": 404 }, { endStream: true });
  assert.equal(await run(grpc("")), 503);
});

test("a probe comes from the address that is asked for, and from any where the pod does not have it", async (t) => {
  const peers: (string | undefined)[] = [];
  const port = await listen(
    createTcpServer((socket) => {
      peers.push(socket.remoteAddress);
      socket.on("error", () => {});
      socket.once("data", () => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }),
    t,
  );
  const from = (address: string) => ({ host: "127.0.0.1", from: address });
  const probes: readonly AppProbe[] = [
    http(port),
    { type: "tcp", port, timeoutMs: 30_000 },
    { type: "grpc", port, service: "", timeoutMs: 30_000 },
  ];
  for (const probe of probes) await runAppProbe(probe, from("127.0.0.6"), "k");
  assert.deepEqual(peers, ["127.0.0.6", "127.0.0.6", "127.0.0.6"]);
  peers.length = 0;
  // For documentation (RFC 5737): no machine has it.
  for (const probe of probes.slice(0, 2)) assert.equal((await runAppProbe(probe, from("192.0.2.1"), "k")).status, 200);
  assert.deepEqual(peers, ["127.0.0.1", "127.0.0.1"]);
});
