import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Agent, createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { generator, pieces, randomBytes, sizeOf } from "../harness/random-bytes.ts";
import { startSidecar } from "../harness/sidecar.ts";

const REQUESTS = 3000;
const CLIENTS = 24;
const SEED = 0x4865_6464;

/*
 * Many exchanges at once, each with bytes of its own in both directions: whoever gets a byte that belongs to another, or one
 * too many, sees it by the hash.
 */
for (const concurrency of [1, 3]) {
  test(`${REQUESTS} random exchanges at once arrive byte for byte, with ${concurrency} workers`, async (t) => {
    const owner = lastFirst(t);
    const upstream = createServer((req, res) => {
      void bodyOf(req).then((body) => {
        const exchange = exchangeOf(Number(req.url?.slice(1)));
        assert.equal(hash(body), hash(exchange.requestBody), `the request of ${req.url}`);
        const { responseBody, responseChunks } = exchange;
        const headers = {
          "x-exchange": req.url,
          ...(responseChunks === 0 && { "content-length": responseBody.length }),
        };
        res.writeHead(exchange.status, headers);
        for (const piece of pieces(responseBody, responseChunks)) res.write(piece);
        res.end();
      });
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    owner.after(() => {
      upstream.close();
      upstream.closeAllConnections();
    });
    const upstreamPort = (upstream.address() as AddressInfo).port;
    const bootstrap = staticBootstrap(
      [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "up")]) })],
      [cluster("up", [upstreamPort])],
    );
    const sidecar = await startSidecar(bootstrap, owner, { concurrency });
    const port = await sidecar.port("in");
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    owner.after(() => agent.destroy());

    let next = 0;
    const client = async (): Promise<void> => {
      for (let index = next++; index < REQUESTS; index = next++) await ask(port, agent, index);
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
  });
}

function ask(port: number, agent: Agent, index: number): Promise<void> {
  const { method, requestBody, requestChunks, responseBody, status } = exchangeOf(index);
  return new Promise((resolve, reject) => {
    const headers = requestChunks === 0 ? { "content-length": requestBody.length } : { "transfer-encoding": "chunked" };
    const req = request({ host: "127.0.0.1", port, method, path: `/${index}`, agent, headers });
    req.once("error", (error) => reject(new Error(`exchange ${index}: ${error.message}`)));
    req.once("response", (res) => {
      bodyOf(res)
        .then((body) => {
          assert.equal(
            res.statusCode,
            status,
            `status of exchange ${index}: ${body.subarray(0, 200).toString("latin1")}`,
          );
          assert.equal(res.headers["x-exchange"], `/${index}`);
          assert.equal(hash(body), hash(responseBody), `the response of exchange ${index}, ${body.length} bytes`);
          resolve();
        })
        .catch(reject);
    });
    for (const piece of pieces(requestBody, requestChunks)) req.write(piece);
    req.end();
  });
}

interface RandomExchange {
  readonly method: string;
  readonly status: number;
  readonly requestBody: Buffer;
  /** 0: with a content-length. */
  readonly requestChunks: number;
  readonly responseBody: Buffer;
  readonly responseChunks: number;
}

/** The same for the same index, on both sides. */
function exchangeOf(index: number): RandomExchange {
  const random = generator(SEED + index);
  const method = ["GET", "PUT", "POST"][random() % 3]!;
  const hasBody = method !== "GET";
  return {
    method,
    status: [200, 200, 201, 404, 500][random() % 5]!,
    requestBody: hasBody ? randomBytes(random, sizeOf(random)) : Buffer.alloc(0),
    requestChunks: hasBody ? random() % 4 : 0,
    responseBody: randomBytes(random, sizeOf(random)),
    responseChunks: random() % 4,
  };
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function hash(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
