import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync } from "node:fs";
import { request } from "node:http";
import type { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { type Peer, stop } from "../../bench/path/peer.ts";
import { startHaproxy, startNginx } from "../../bench/path/peers.ts";
import { bytesOf, EchoServer, sha256 } from "../harness/echo-server.ts";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { type Asker, http1Asker } from "../harness/http-asker.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

const missing = ["/usr/sbin/haproxy", "/usr/sbin/nginx"].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

/** nginx takes no more by default (`client_max_body_size`). */
const LARGE_BYTES = 900 * 1024;
const HUGE_BYTES = 24 * 1024 * 1024;

interface Chain {
  readonly name: string;
  /** What stands between Node's client and Node's server. This nginx passes on neither trailers nor 1xx nor upgrades. */
  readonly nginx: boolean;
}

const CHAINS: readonly Chain[] = [
  { name: "the sidecar", nginx: false },
  { name: "nginx, then the sidecar", nginx: true },
  { name: "HAProxy, then the sidecar", nginx: false },
  { name: "the sidecar, then nginx", nginx: true },
  { name: "the sidecar, then HAProxy", nginx: false },
];

describe("a sidecar between Node's http client and server, alone and beside nginx and HAProxy", { skip }, () => {
  const suite = lastFirst({ after });
  const ports = new Map<string, number>();
  const askers = new Map<string, Asker>();
  let server: EchoServer;

  before(async () => {
    process.env["PATH"] = `${process.env["PATH"]}:/usr/sbin`; // where Debian has servers, also for those who are not root
    server = await EchoServer.listen("h1", suite);
    const started = (peer: Peer): number => {
      suite.after(() => stop(peer));
      return peer.port;
    };
    /** A worker that nginx runs as nobody keeps large bodies there. */
    const folder = (): string => {
      const made = scratchFolder(suite);
      chmodSync(made, 0o755);
      return made;
    };
    const behind = {
      direct: server.port,
      nginx: started(await startNginx(folder(), server.port)),
      haproxy: started(await startHaproxy(folder(), server.port)),
    };
    const names = Object.keys(behind) as (keyof typeof behind)[];
    const upgrades = { upgrade_configs: [{ upgrade_type: "echo" }] };
    const sidecar = await startSidecar(
      staticBootstrap(
        names.map((name) => listener({ name, routes: inlineRoutes([virtualHost("*", name, upgrades)]) })),
        names.map((name) => cluster(name, [behind[name]])),
      ),
      suite,
      { concurrency: 2 },
    );
    const direct = await sidecar.port("direct");
    ports.set("the sidecar", direct);
    ports.set("nginx, then the sidecar", started(await startNginx(folder(), direct)));
    ports.set("HAProxy, then the sidecar", started(await startHaproxy(folder(), direct)));
    ports.set("the sidecar, then nginx", await sidecar.port("nginx"));
    ports.set("the sidecar, then HAProxy", await sidecar.port("haproxy"));
    for (const [name, port] of ports) askers.set(name, http1Asker(port, suite));
  });

  for (const chain of CHAINS) {
    const ask: Asker["ask"] = (question) => askers.get(chain.name)!.ask(question);

    test(`through ${chain.name}: bodies with a length and in chunks, in both directions`, async () => {
      const bytes = randomBytes(LARGE_BYTES);
      const digest = sha256(bytes);
      for (const framing of ["length", "chunks"]) {
        for (const headers of [{ "content-length": bytes.length }, {}]) {
          const pieces = [bytes.subarray(0, 10), bytes.subarray(10, 70_000), bytes.subarray(70_000)];
          const answer = await ask({ method: "POST", path: `/echo/${framing}`, headers, body: pieces });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers["x-request-digest"], digest);
          assert.equal(sha256(answer.body), digest);
          assert.equal(answer.headers["content-length"], framing === "length" ? String(bytes.length) : undefined);
        }
      }
    });

    test(`through ${chain.name}: HEAD, 204, 304 and an empty answer, on connections that are kept`, async () => {
      const sockets = server.sockets.size;
      for (let round = 0; round < 10; round++) {
        for (const [method, path, status, length] of [
          ["HEAD", "/length/100", 200, "100"],
          ["GET", "/status/204", 204, undefined],
          ["GET", "/status/304", 304, undefined],
          ["GET", "/length/0", 200, "0"],
          ["DELETE", "/length/3", 200, "3"],
        ] as const) {
          const answer = await ask({ method, path });
          assert.deepEqual([answer.status, answer.headers["content-length"]], [status, length], path);
          assert.equal(answer.body.length, method === "HEAD" ? 0 : Number(length ?? 0));
        }
      }
      assert.ok(server.sockets.size - sockets <= 20, `${server.sockets.size - sockets} connections for 50 requests`);
    });

    test(`through ${chain.name}: a client that waits for 100 (Continue) before its body`, async () => {
      const body = [Buffer.from("hello")];
      const answer = await ask({
        method: "PUT",
        path: "/echo/length",
        headers: { expect: "100-continue", "content-length": 5 },
        body,
      });
      assert.deepEqual([answer.status, String(answer.body)], [200, "hello"]);
      assert.ok(answer.interim.includes(100));
    });

    test(`through ${chain.name}: repeated fields, odd values and long ones`, async () => {
      const answer = await ask({
        path: "/fields",
        headers: { "x-long": "l".repeat(6000), "x-latin": "caf\xe9", "x-empty": "" },
      });
      assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2; Path=/"]);
      const { long, latin, empty } = JSON.parse(String(answer.body)) as Readonly<Record<string, unknown>>;
      assert.deepEqual({ long, latin, empty }, { long: 6000, latin: "caf\xe9", empty: "" });
    });

    if (chain.nginx) continue;

    test(`through ${chain.name}: trailers in both directions`, async () => {
      const answer = await ask({
        method: "POST",
        path: "/trailers",
        headers: { te: "trailers", connection: "te", trailer: "x-sum" },
        body: [Buffer.from("body")],
        trailers: { "x-sum": "from the client" },
      });
      assert.equal(String(answer.body), "from the client");
      assert.equal(answer.trailers["x-sum"], "from the server");
    });

    test(`through ${chain.name}: 103 (Early Hints) before the answer`, async () => {
      const answer = await ask({ path: "/hints" });
      assert.deepEqual([answer.status, answer.interim], [200, [103]]);
    });

    test(`through ${chain.name}: bodies of ${HUGE_BYTES >> 20} MiB in both directions`, async () => {
      const bytes = randomBytes(HUGE_BYTES);
      const answer = await ask({ method: "POST", path: "/echo/chunks", body: [bytes] });
      assert.equal(sha256(answer.body), sha256(bytes));
    });

    test(`through ${chain.name}: an upgrade, and bytes in both directions until both have ended`, async () => {
      const bytes = randomBytes(LARGE_BYTES);
      const upgraded = Promise.withResolvers<Duplex>();
      const asked = request({ port: ports.get(chain.name), headers: { connection: "upgrade", upgrade: "echo" } });
      asked.on("upgrade", (response, socket) => {
        assert.equal(response.headers["upgrade"], "echo");
        upgraded.resolve(socket);
      });
      asked.on("response", ({ statusCode }) => upgraded.reject(new Error(`answered with ${statusCode}`)));
      asked.on("error", upgraded.reject);
      asked.end();
      const socket = await upgraded.promise;
      socket.end(bytes);
      assert.equal(sha256(await bytesOf(socket)), sha256(bytes));
    });
  }
});
