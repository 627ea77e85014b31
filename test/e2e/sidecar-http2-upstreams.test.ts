import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { after, before, describe, test } from "node:test";
import {
  cluster,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { answerOk, type Http2Request, Http2Upstream, refuse } from "../harness/http2-upstream.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer } from "../harness/raw-peer.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";
import { type LogLine, untilLogged } from "../harness/sidecar-slots.ts";

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

function speaksHttp2(common: Json = {}, http2: Json = {}): Json {
  return {
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
        common_http_protocol_options: common,
        explicit_http_config: { http2_protocol_options: http2 },
      },
    },
  };
}

/** What stands behind each host, and how its cluster is; a handler gets every stream. */
interface Behind {
  readonly cluster?: Json;
  readonly route?: Json;
  readonly maxConcurrentStreams?: number;
  readonly enableConnectProtocol?: boolean;
}

const BEHIND: Readonly<Record<string, Behind>> = {
  shared: {},
  "one-stream": { maxConcurrentStreams: 1 },
  goaway: {},
  refused: {},
  "always-refused": {},
  reset: {},
  "max-age": { cluster: speaksHttp2({ max_connection_duration: "0.15s" }) },
  "max-requests": { cluster: speaksHttp2({ max_requests_per_connection: 5 }) },
  killed: {},
  trailers: {},
  websocket: { enableConnectProtocol: true, route: { upgrade_configs: [{ upgrade_type: "websocket" }] } },
  stalled: {},
  connect: { route: { upgrade_configs: [{ upgrade_type: "CONNECT" }] } },
  "no-websocket": { route: { upgrade_configs: [{ upgrade_type: "websocket" }] } },
};

describe("a sidecar before HTTP/2 servers", { concurrency: 4 }, () => {
  const suite = lastFirst({ after });
  const upstreams = new Map<string, Http2Upstream>();
  const handlers = new Map<string, (request: Http2Request) => void>();
  const agent = new Agent({ keepAlive: true });
  let sidecar: SidecarProcess;
  let port: number;
  let accessLog: string;

  before(async () => {
    for (const [name, { maxConcurrentStreams = 100, enableConnectProtocol = false }] of Object.entries(BEHIND)) {
      const onRequest = (one: Http2Request): void => {
        const handler = handlers.get(name);
        if (handler === undefined) answerOk(one.stream);
        else handler(one);
      };
      const settings = { maxConcurrentStreams, enableConnectProtocol };
      upstreams.set(name, await Http2Upstream.listen(suite, onRequest, settings));
    }
    const folder = scratchFolder(suite);
    accessLog = `${folder}/access.json`;
    const names = Object.entries(BEHIND);
    const bootstrap = staticBootstrap(
      [
        listener({
          name: "in",
          routes: inlineRoutes(names.map(([name, { route }]) => hostOf(name, route))),
          http: { access_log: [jsonAccessLog(accessLog)] },
        }),
      ],
      names.map(([name, behind]) => cluster(name, [upstreams.get(name)!.port], behind.cluster ?? speaksHttp2())), // made above
    );
    sidecar = await startSidecar(bootstrap, suite, { folder });
    port = await sidecar.port("in");
    suite.after(() => agent.destroy());
  });

  /** Requests of HTTP/1 clients. */
  function ask(host: string, path = "/", body = ""): Promise<{ readonly status: number; readonly body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    const method = body === "" ? "GET" : "POST";
    const req = request({ host: "127.0.0.1", port, path, method, agent, headers: { host } });
    req.once("error", reject);
    req.once("response", (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      res.once("error", reject);
      res.once("end", () => resolve({ status: res.statusCode ?? 0, body: text }));
    });
    req.end(body);
    return promise;
  }

  const upstreamOf = (host: string): Http2Upstream => upstreams.get(host)!; // every host of the test is in BEHIND

  const counts = async (host: string, name: string): Promise<number> => sidecar.stat(`cluster.${host}.${name}`);

  function logged(host: string, count: number): Promise<readonly LogLine[]> {
    return untilLogged(accessLog, host, count);
  }

  test("many requests at a time share one connection", async () => {
    const together: ServerHttp2Stream[] = [];
    handlers.set("shared", ({ stream }) => {
      together.push(stream);
      if (together.length === 50) for (const one of together) answerOk(one);
    });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask("shared", `/${i}`, "body")));
    assert.ok(answers.every(({ status }) => status === 200));
    const { sessions, mostStreams } = upstreamOf("shared");
    assert.equal(sessions.length, 1);
    assert.equal(mostStreams, 50);
    assert.equal(await counts("shared", "upstream_cx_http2_total"), 1);
    await eventually("no stream is left", async () => (await counts("shared", "http2.streams_active")) === 0);
  });

  test("a server that takes one stream at a time gets one at a time, every request once", async () => {
    const seen: string[] = [];
    handlers.set("one-stream", ({ stream, headers }) => {
      seen.push(String(headers[":path"]));
      setTimeout(() => answerOk(stream), 5);
    });
    const paths = Array.from({ length: 30 }, (_, i) => `/${i}`);
    const answers = await Promise.all(paths.map((path) => ask("one-stream", path, "body")));
    assert.deepEqual(
      answers.map(({ status }) => status),
      paths.map(() => 200),
    );
    assert.deepEqual([...seen].sort(), [...paths].sort());
    assert.equal(upstreamOf("one-stream").mostStreams, 1);
  });

  test("a GOAWAY in the midst of a burst loses no request and doubles none", async () => {
    const processed: string[] = [];
    const lastStream = new Map<ServerHttp2Session, number>();
    let leftOut = 0;
    handlers.set("goaway", ({ stream, headers, session, sessionNumber }) => {
      const last = lastStream.get(session) ?? Infinity;
      if (stream.id! > last) {
        leftOut++; // what a GOAWAY leaves out is not processed; streams have ids
        return;
      }
      const nth = (stream.id! + 1) / 2;
      if (sessionNumber <= 3 && nth === 7) {
        lastStream.set(session, stream.id!);
        session.goaway(constants.NGHTTP2_NO_ERROR, stream.id);
      }
      stream.resume();
      stream.once("end", () => {
        processed.push(String(headers[":path"]));
        setTimeout(() => {
          stream.respond({ ":status": 200 });
          stream.end("ok");
        }, 20);
      });
    });
    const paths = Array.from({ length: 80 }, (_, i) => `/${i}`);
    const answers = await Promise.all(paths.map((path) => ask("goaway", path, `body of ${path}`)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.deepEqual([...processed].sort(), [...paths].sort());
    assert.equal(upstreamOf("goaway").sessions.length, 4);
    assert.equal(await counts("goaway", "upstream_cx_close_notify"), 3);
    // Others may have been on their way.
    assert.ok((await counts("goaway", "upstream_rq_replay")) >= leftOut);
    const active = (): Promise<number> => counts("goaway", "upstream_cx_active");
    await eventually("connections that went away are ended", async () => (await active()) === 1);
  });

  test("a refused stream is sent again, a POST too", async () => {
    const attempts = new Map<string, number>();
    const processed: string[] = [];
    handlers.set("refused", ({ stream, headers }) => {
      const path = String(headers[":path"]);
      const attempt = (attempts.get(path) ?? 0) + 1;
      attempts.set(path, attempt);
      if (attempt <= 2) {
        refuse(stream);
        return;
      }
      processed.push(path);
      answerOk(stream);
    });
    const paths = Array.from({ length: 20 }, (_, i) => `/${i}`);
    const answers = await Promise.all(paths.map((path) => ask("refused", path, "body")));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.deepEqual([...processed].sort(), [...paths].sort());
    assert.equal(upstreamOf("refused").sessions.length, 1);
  });

  test("a server that refuses everything is asked four times, and the client is told", async () => {
    let asked = 0;
    handlers.set("always-refused", ({ stream }) => {
      asked++;
      refuse(stream);
    });
    assert.equal((await ask("always-refused")).status, 503);
    assert.equal(asked, 4);
    const [line] = await logged("always-refused", 1);
    assert.deepEqual(
      [line?.flags, line?.details, line?.attempts],
      ["UR", "upstream_reset_before_response_started{remote_refused_stream_reset}", 4],
    );
  });

  test("a stream that the server resets may have been processed: 503 UR, and the connection goes on", async () => {
    handlers.set("reset", ({ stream, headers }) => {
      if (headers[":path"] === "/bad") stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      else answerOk(stream);
    });
    assert.equal((await ask("reset")).status, 200);
    assert.equal((await ask("reset", "/bad", "body")).status, 503);
    assert.equal((await ask("reset")).status, 200);
    assert.equal(upstreamOf("reset").sessions.length, 1);
    const line = (await logged("reset", 3)).find(({ path }) => path === "/bad");
    assert.deepEqual(
      [line?.flags, line?.details, line?.attempts],
      ["UR", "upstream_reset_before_response_started{remote_reset}", 1],
    );
  });

  test("connections that reach their age under load fail no request", async () => {
    handlers.set("max-age", ({ stream }) => setTimeout(() => answerOk(stream), 10));
    const { sessions } = upstreamOf("max-age");
    const failed: unknown[] = [];
    let asked = 0;
    let enough = false;
    const client = async (): Promise<void> => {
      while (!enough) {
        asked++;
        const answer = await ask("max-age", "/", "body").catch(String);
        if (typeof answer === "string" || answer.status !== 200) failed.push(answer);
      }
    };
    const clients = Array.from({ length: 10 }, client);
    await eventually("some connections have reached their age", () => asked > 50 && sessions.length >= 3);
    enough = true;
    await Promise.all(clients);
    assert.deepEqual(failed, []);
    await eventually("old connections are ended", () => upstreamOf("max-age").open <= 1);
  });

  test("a connection carries no more requests than max_requests_per_connection", async () => {
    const most = new Map<number, number>();
    handlers.set("max-requests", ({ stream, sessionNumber }) => {
      most.set(sessionNumber, (most.get(sessionNumber) ?? 0) + 1);
      answerOk(stream);
    });
    const answers = await Promise.all(Array.from({ length: 23 }, () => ask("max-requests", "/", "body")));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.ok(Math.max(...most.values()) <= 5, `${Math.max(...most.values())} on one connection`);
  });

  test("a server that dies in the midst: what it may have processed is 503 UC, a GET goes to the next connection", async () => {
    handlers.set("killed", ({ stream, headers, session }) => {
      if (headers[":path"] !== "/kill") {
        answerOk(stream);
        return;
      }
      handlers.set("killed", (next) => answerOk(next.stream));
      session.destroy();
    });
    const kill = handlers.get("killed")!; // set above
    assert.equal((await ask("killed")).status, 200);
    assert.equal((await ask("killed", "/kill", "body")).status, 503);
    const [line] = (await logged("killed", 2)).filter(({ path }) => path === "/kill");
    assert.deepEqual(
      [line?.flags, line?.details],
      ["UC", "upstream_reset_before_response_started{connection_termination}"],
    );
    assert.equal((await ask("killed")).status, 200);
    handlers.set("killed", kill);
    assert.equal((await ask("killed", "/kill")).status, 200);
    assert.equal(upstreamOf("killed").sessions.length, 3);
  });

  test("trailers go both ways between HTTP/1 and HTTP/2", async (t) => {
    const got = Promise.withResolvers<unknown>();
    handlers.set("trailers", ({ stream, headers }) => {
      stream.resume();
      stream.once("trailers", (trailers) => got.resolve([headers["te"], trailers["x-sum"]]));
      stream.once("end", () => {
        stream.respond({ ":status": 200 }, { waitForTrailers: true });
        stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end("ok");
      });
    });
    const peer = await RawPeer.connect(port, t);
    await peer.send(
      "POST / HTTP/1.1\r\nhost: trailers\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n" +
        "4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
    );
    const answer = await peer.message();
    assert.equal(answer.status, 200);
    assert.equal(answer.trailers.get("grpc-status"), "0");
    assert.deepEqual(await got.promise, ["trailers", "42"]);
  });

  test("a client that does not read stalls its own stream, and no other one of the connection", async (t) => {
    const size = 32 * 1024 * 1024; // more than the kernel holds
    let sent = 0;
    handlers.set("stalled", ({ stream, headers }) => {
      if (headers[":path"] !== "/large") {
        answerOk(stream, "x".repeat(100_000));
        return;
      }
      stream.respond({ ":status": 200, "content-length": String(size) });
      const more = (): void => {
        while (sent < size) {
          sent += 65_536;
          if (!stream.write(Buffer.alloc(65_536, "l"))) {
            stream.once("drain", more);
            return;
          }
        }
        stream.end();
      };
      more();
    });
    const peer = await RawPeer.connect(port, t);
    peer.socket.pause();
    await peer.send("GET /large HTTP/1.1\r\nhost: stalled\r\n\r\n");
    let seen = -1;
    await eventually("the server has been stopped", async () => {
      const before = seen;
      seen = sent;
      await ask("stalled"); // its answer takes a while
      return seen > 0 && seen === before;
    });
    assert.ok(sent < size, "what nobody reads is not all held");
    const others = await Promise.all(Array.from({ length: 30 }, () => ask("stalled")));
    assert.ok(others.every(({ status, body }) => status === 200 && body.length === 100_000));
    assert.equal(upstreamOf("stalled").sessions.length, 1);
    peer.socket.resume();
    assert.equal((await peer.message()).body.length, size);
  });

  test("CONNECT that the route sends on is a tunnel on one stream", async (t) => {
    const asked = Promise.withResolvers<readonly unknown[]>();
    handlers.set("connect", ({ stream, headers }) => {
      asked.resolve([headers[":method"], headers[":authority"], headers[":path"], headers[":protocol"]]);
      stream.respond({ ":status": 200 });
      stream.on("data", (chunk: Buffer) => stream.write(`echo ${String(chunk)}`));
      stream.once("end", () => stream.end("bye"));
    });
    const peer = await RawPeer.connect(port, t);
    await peer.send("CONNECT connect:443 HTTP/1.1\r\nhost: connect:443\r\n\r\n");
    assert.match(String(await peer.readUntil("\r\n\r\n")), /^HTTP\/1\.1 200 /);
    assert.deepEqual(await asked.promise, ["CONNECT", "connect:443", undefined, undefined]);
    await peer.send("hello");
    await peer.readUntil("hello");
    peer.end();
    assert.equal(await peer.readToEnd(), "bye");
  });

  test("an upgrade rides extended CONNECT (RFC 8441) where the server takes it, from the first request on", async (t) => {
    const asked = Promise.withResolvers<readonly unknown[]>();
    handlers.set("websocket", ({ stream, headers }) => {
      asked.resolve([headers[":method"], headers[":protocol"], headers["sec-websocket-key"], headers["upgrade"]]);
      stream.respond({ ":status": 200 });
      stream.on("data", (chunk: Buffer) => stream.write(`echo ${String(chunk)}`));
    });
    const peer = await RawPeer.connect(port, t);
    await peer.send(upgradeOf("websocket"));
    const head = await peer.readUntil("\r\n\r\n");
    assert.match(String(head), /^HTTP\/1\.1 101 /);
    assert.match(String(head), /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
    assert.deepEqual(await asked.promise, ["CONNECT", "websocket", undefined, undefined]);
    await peer.send("hello");
    assert.match(String(await peer.readUntil("hello")), /echo hello$/);
    peer.socket.destroy();
  });

  test("where the server does not take it the upgrade is refused", async (t) => {
    const peer = await RawPeer.connect(port, t);
    await peer.send(upgradeOf("no-websocket"));
    assert.equal((await peer.message()).status, 403);
    peer.socket.destroy();
  });
});

/** CONNECT is matched by a route of its own. */
function hostOf(name: string, route: Json | undefined): Json {
  if (name !== "connect") return virtualHost(name, name, route);
  return {
    name,
    domains: ["connect:443"],
    routes: [{ match: { connect_matcher: {} }, route: { cluster: name, ...route } }],
  };
}

/** With the key of RFC 6455 §1.3. */
function upgradeOf(host: string): string {
  return (
    `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
  );
}
