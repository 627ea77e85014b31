import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { startSidecar } from "../harness/sidecar.ts";
import { INSPECTABLE, WorkerInspector } from "../harness/worker-inspector.ts";

/*
 * What an exchange allocates is collected again, and the collection is paid by whoever comes next. Unlike time, the number of
 * bytes is the same on every machine.
 */

const CONNECTIONS = 8;
const WARM_UP = 2_000;
const REQUESTS = 2_000;
/** Of the JavaScript heap; 4,800 when this was written. */
const MAX_BYTES_PER_EXCHANGE = 6_000;

const REQUEST = [
  "GET /path?query=1 HTTP/1.1",
  "Host: shop.example",
  "User-Agent: test/1.0",
  "Accept: */*",
  "Accept-Encoding: gzip, br",
  "Cookie: session=0123456789abcdef",
  "",
  "",
].join("\r\n");
const ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 23\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxx";

test(`a small exchange on kept connections allocates at most ${MAX_BYTES_PER_EXCHANGE} bytes in the traffic worker`, async (t) => {
  const owner = lastFirst(t);
  const upstream = createServer((socket) => {
    socket.on("data", () => socket.write(ANSWER)); // a request comes in one piece
    socket.on("error", () => socket.destroy());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => upstream.once("listening", resolve));
  owner.after(() => upstream.close());
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "up")]) })],
    [cluster("up", [(upstream.address() as AddressInfo).port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { nodeFlags: INSPECTABLE });
  const port = await sidecar.port("in");
  const inspector = await WorkerInspector.attach(sidecar, owner);

  await load(port, WARM_UP); // until the hot functions are compiled, their profiles are allocated as well
  const allocations = await inspector.allocations(() => load(port, REQUESTS));
  const bytes = [...allocations.values()].reduce((sum, size) => sum + size, 0);
  const perExchange = Math.round(bytes / (CONNECTIONS * REQUESTS));
  t.diagnostic(`${perExchange} bytes for each exchange`);
  for (const [place, size] of [...allocations].slice(0, 12))
    t.diagnostic(`${Math.round(size / (CONNECTIONS * REQUESTS))} bytes: ${place}`);
  assert.ok(perExchange <= MAX_BYTES_PER_EXCHANGE, `${perExchange} bytes for each exchange`);
  assert.ok(perExchange > 100, `${perExchange} bytes: the traffic was not seen`);
});

/** So many requests on each connection, one after the other. */
async function load(port: number, requests: number): Promise<void> {
  await Promise.all(Array.from({ length: CONNECTIONS }, () => oneByOne(port, requests)));
}

function oneByOne(port: number, requests: number): Promise<void> {
  const done = Promise.withResolvers<void>();
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  let answers = 0;
  let heard = "";
  socket.on("connect", () => socket.write(REQUEST));
  socket.on("error", done.reject);
  socket.setEncoding("latin1").on("data", (text: string) => {
    heard += text;
    if (!heard.endsWith("\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxx")) return;
    if (!heard.startsWith("HTTP/1.1 200 ")) done.reject(new Error(heard));
    heard = "";
    if (++answers < requests) socket.write(REQUEST);
    else {
      socket.destroy();
      done.resolve();
    }
  });
  return done.promise;
}
