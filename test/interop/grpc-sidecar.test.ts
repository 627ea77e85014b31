import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import {
  cluster,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually, PATIENCE_MS } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

/*
 * grpc-js on both sides of one sidecar: the four shapes of calls, and what the sidecar itself adds to a call: its answers,
 * deadlines, cancellation, gRPC-Web, statistics, health. Messages are bytes as they stand.
 */

const asIs = (bytes: Buffer): Buffer => bytes;
const TYPES = "type.googleapis.com/envoy.extensions";

class Shop {
  readonly port: number;
  /** Calls of Hang that were given up, by their x-id. */
  readonly cancelled = new Set<string>();
  /** Calls of Hang by their x-id: the time to the deadline that they came with, in ms. */
  readonly deadlines = new Map<string, number>();
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(owner: Owner): Promise<Shop> {
    const server = new Server();
    let shop: Shop | undefined;
    const echo: handleUnaryCall<Buffer, Buffer> = (call, answer) => answer(null, call.request);
    const sum: handleClientStreamingCall<Buffer, Buffer> = (call, answer) => {
      let bytes = 0;
      call.on("data", (message: Buffer) => {
        bytes += message.length;
      });
      call.on("end", () => answer(null, Buffer.from(String(bytes))));
    };
    const emit: handleServerStreamingCall<Buffer, Buffer> = (call) => {
      for (let i = 0; i < Number(call.request); i++) call.write(Buffer.from(`message ${i}`));
      call.end();
    };
    const chat: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => call.end());
      call.on("error", () => undefined);
    };
    const fail: handleUnaryCall<Buffer, Buffer> = (call, answer) =>
      answer({ code: Number(call.request), details: "failed: 100% ☺" });
    const hang: handleServerStreamingCall<Buffer, Buffer> = (call) => {
      const id = String(call.metadata.get("x-id")[0]);
      shop?.deadlines.set(id, new Date(call.getDeadline()).getTime() - Date.now());
      call.on("cancelled", () => shop?.cancelled.add(id));
      call.on("error", () => undefined);
      if (call.metadata.get("x-first").length > 0) call.write(Buffer.from("first"));
    };
    server.addService(SERVICE, { echo, sum, emit, chat, fail, hang });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    owner.after(() => server.forceShutdown());
    shop = new Shop(server, port);
    return shop;
  }

  /** Every connection breaks at once. */
  break(): void {
    this.#server.forceShutdown();
  }
}

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/test.Shop/${name}`,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

const SERVICE = {
  echo: method("Echo", false, false),
  sum: method("Sum", true, false),
  emit: method("Emit", false, true),
  chat: method("Chat", true, true),
  fail: method("Fail", false, false),
  hang: method("Hang", false, true),
};

interface Ended {
  readonly code: number;
  readonly details: string;
}

class Caller {
  readonly #client: Client;

  constructor(port: number, owner: Owner) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    owner.after(() => this.#client.close());
  }

  /** The answer, or how the call ended. */
  unary(path: string, request: string, headers: Readonly<Record<string, string>> = {}): Promise<string | Ended> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        path,
        asIs,
        asIs,
        Buffer.from(request),
        metadata(headers),
        options(),
        (error, answer) => resolve(error === null ? String(answer) : ended(error)),
      );
    });
  }

  sum(messages: readonly string[]): Promise<string | Ended> {
    return new Promise((resolve) => {
      const call = this.#client.makeClientStreamRequest("/test.Shop/Sum", asIs, asIs, options(), (error, answer) =>
        resolve(error === null ? String(answer) : ended(error)),
      );
      for (const message of messages) call.write(Buffer.from(message));
      call.end();
    });
  }

  stream(
    path: string,
    request: string,
    headers: Readonly<Record<string, string>> = {},
    more: CallOptions = options(),
  ): ClientReadableStream<Buffer> {
    return this.#client.makeServerStreamRequest(path, asIs, asIs, Buffer.from(request), metadata(headers), more);
  }

  chat(path = "/test.Shop/Chat"): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(path, asIs, asIs, options());
  }
}

/** A call that is still there after this has hung. */
function options(): CallOptions {
  return { deadline: Date.now() + PATIENCE_MS };
}

function metadata(headers: Readonly<Record<string, string>>): Metadata {
  const made = new Metadata();
  for (const [name, value] of Object.entries(headers)) made.set(name, value);
  return made;
}

function ended({ code, details }: ServiceError): Ended {
  return { code, details };
}

/** All messages of a stream and how it ended. */
async function drain(
  call: ClientReadableStream<Buffer>,
): Promise<{ readonly messages: string[]; readonly end: Ended }> {
  const messages: string[] = [];
  call.on("data", (message: Buffer) => messages.push(String(message)));
  const end = await new Promise<Ended>((resolve) => {
    call.on("error", (error: ServiceError) => resolve(ended(error)));
    call.on("status", ({ code, details }) => resolve({ code, details }));
  });
  return { messages, end };
}

describe("gRPC through a sidecar", { concurrency: 8 }, () => {
  const suite = lastFirst({ after });
  let shop: Shop;
  let dying: Shop;
  let sidecar: SidecarProcess;
  let caller: Caller;
  let log: string;
  let ports: Readonly<Record<"main" | "web" | "health", number>>;

  before(async () => {
    shop = await Shop.start(suite);
    dying = await Shop.start(suite);
    log = join(scratchFolder(suite), "access.log");
    const accessLog: Json = {
      ...jsonAccessLog(log),
      typed_config: {
        ...(jsonAccessLog(log)["typed_config"] as Json),
        log_format: {
          json_format: {
            path: "%REQ(:PATH)%",
            grpc: "%GRPC_STATUS%",
            flags: "%RESPONSE_FLAGS%",
            code: "%RESPONSE_CODE%",
          },
        },
      },
    };
    const http2 = {
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    };
    const to = (route: Json) => ({ cluster: "shop", timeout: "0s", ...route });
    const routes = inlineRoutes([
      {
        ...virtualHost("*", "shop", { timeout: "0s" }),
        routes: [
          { match: { path: "/test.Shop/NoCluster" }, route: { cluster: "none" } },
          { match: { path: "/test.Shop/Refused" }, route: { cluster: "refusing" } },
          { match: { path: "/test.Shop/Forbidden" }, direct_response: { status: 403, body: { inline_string: "no, 100%" } } },
          { match: { prefix: "/test.Shop/Hang", headers: [{ name: "x-route", string_match: { exact: "timeout" } }] },
            route: to({ timeout: "0.2s" }) },
          { match: { prefix: "/test.Shop/Hang", headers: [{ name: "x-route", string_match: { exact: "clamped" } }] },
            route: to({ max_stream_duration: { grpc_timeout_header_max: "0.3s" } }) },
          { match: { prefix: "/test.Shop/Hang", headers: [{ name: "x-route", string_match: { exact: "dying" } }] },
            route: to({ cluster: "dying" }) },
          { match: { prefix: "/test.Shop/" }, route: to({}) },
        ],
      },
    ]); // biome-ignore format: a table
    const filter = (name: string, type: string, config: Json = {}): Json => ({
      name,
      typed_config: { "@type": `${TYPES}.filters.http.${type}`, ...config },
    });
    const http = { access_log: [accessLog] };
    const stats = filter("stats", "grpc_stats.v3.FilterConfig", { stats_for_all_methods: true });
    sidecar = await startSidecar(
      staticBootstrap(
        [
          listener({ name: "main", routes, http, filters: [stats] }),
          listener({ name: "web", routes, http, filters: [filter("web", "grpc_web.v3.GrpcWeb")] }),
          listener({
            name: "health",
            routes: inlineRoutes([]),
            filters: [filter("health", "health_check.v3.HealthCheck", { pass_through_mode: false })],
          }),
        ],
        [cluster("shop", [shop.port], http2), cluster("dying", [dying.port], http2), cluster("refusing", [1], http2)],
      ),
      suite,
    );
    const [main, web, health] = await Promise.all(["main", "web", "health"].map((name) => sidecar.port(name)));
    ports = { main: main!, web: web!, health: health! };
    suite.after(nothingIsLeft);
    caller = new Caller(ports.main, suite);
  });

  /** Calls that were cancelled, timed out or broken have given back what they had. */
  async function nothingIsLeft(): Promise<void> {
    let left = "";
    await eventually("no call is active any more", async () => {
      const page = await sidecar.page("/stats?filter=rq_active$");
      assert.match(page, /^cluster\.shop\.upstream_rq_active: \d+$/m);
      left = page
        .split("\n")
        .filter((line) => line !== "" && !line.endsWith(": 0"))
        .join(", ");
      return left === "";
    }).catch((error: Error) => assert.fail(`${error.message}; left: ${left}`));
  }

  test("calls of all four shapes", async () => {
    assert.equal(await caller.unary("/test.Shop/Echo", "hello"), "hello");
    assert.equal(await caller.sum(["a", "bc", "def"]), "6");
    const emitted = await drain(caller.stream("/test.Shop/Emit", "3"));
    assert.deepEqual(emitted, { messages: ["message 0", "message 1", "message 2"], end: { code: 0, details: "OK" } });
    const chat = caller.chat();
    for (const word of ["ping", "pong"]) {
      chat.write(Buffer.from(word));
      const answer = await new Promise((resolve) => chat.once("data", resolve));
      assert.equal(String(answer), word, "an answer before the next question");
    }
    chat.end();
    assert.deepEqual((await drain(chat)).end, { code: 0, details: "OK" });
  });

  test("a message of 1 MiB, and many calls at once", async () => {
    const large = "x".repeat(1024 * 1024);
    assert.equal(await caller.unary("/test.Shop/Echo", large), large);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => caller.unary("/test.Shop/Echo", `${i}`)));
    assert.deepEqual(
      answers,
      Array.from({ length: 50 }, (_, i) => `${i}`),
    );
  });

  test("statuses and messages of the server arrive as they are", async () => {
    for (const code of [status.NOT_FOUND, status.DATA_LOSS]) {
      assert.deepEqual(await caller.unary("/test.Shop/Fail", `${code}`), { code, details: "failed: 100% ☺" });
    }
    const unknown = (await caller.unary("/test.Shop/Unknown", "")) as Ended;
    assert.equal(unknown.code, status.UNIMPLEMENTED);
  });

  test("what the sidecar answers itself is a status with a message", async () => {
    assert.deepEqual(await caller.unary("/none.Service/Method", ""), { code: status.UNIMPLEMENTED, details: "" });
    assert.deepEqual(await caller.unary("/test.Shop/NoCluster", ""), { code: status.UNAVAILABLE, details: "" });
    assert.deepEqual(await caller.unary("/test.Shop/Forbidden", ""), {
      code: status.PERMISSION_DENIED,
      details: "no, 100%",
    });
    const refused = (await caller.unary("/test.Shop/Refused", "")) as Ended;
    assert.equal(refused.code, status.UNAVAILABLE);
    assert.match(refused.details, /^upstream connect error .*reset reason: remote connection failure$/);
    await eventually("the log has them", () =>
      [
        '{"path":"/none.Service/Method","grpc":"Unimplemented","flags":"NR","code":200}',
        '{"path":"/test.Shop/Refused","grpc":"Unavailable","flags":"UF","code":200}',
      ].every((line) => sameLines(log).has(canonical(line))),
    );
  });

  test("an answer that comes before the request is complete arrives, however much is still sent", async () => {
    for (const [path, code] of [
      ["/none.Service/Method", status.UNIMPLEMENTED],
      ["/test.Shop/Forbidden", status.PERMISSION_DENIED],
      ["/test.Shop/NoMethod", status.UNIMPLEMENTED], // of the server's
    ] as const) {
      const chat = caller.chat(path);
      for (let i = 0; i < 20; i++) chat.write(Buffer.alloc(60_000));
      const { messages, end } = await drain(chat);
      assert.deepEqual([messages, end.code], [[], code], `${path}: ${end.details}`);
    }
  });

  test("a route's timeout is DEADLINE_EXCEEDED, and the server's call is given up", async () => {
    const { end } = await drain(caller.stream("/test.Shop/Hang", "", { "x-route": "timeout", "x-id": "timeout" }));
    assert.deepEqual(end, { code: status.DEADLINE_EXCEEDED, details: "upstream request timeout" });
    await eventually("the server hears of it", () => shop.cancelled.has("timeout"));
  });

  test("a call's deadline is clamped where the route says so, and the server is told", async () => {
    const { end } = await drain(caller.stream("/test.Shop/Hang", "", { "x-route": "clamped", "x-id": "clamped" }));
    assert.deepEqual(end, { code: status.DEADLINE_EXCEEDED, details: "downstream duration timeout" });
    assert.ok((shop.deadlines.get("clamped") ?? Infinity) <= 300);
    await eventually("the server hears of it", () => shop.cancelled.has("clamped"));
  });

  test("a client that cancels reaches the server: before an answer, and after its first message", async () => {
    const silent = caller.stream("/test.Shop/Hang", "", { "x-id": "silent" });
    silent.on("error", () => undefined);
    await eventually("the call has come", () => shop.deadlines.has("silent"));
    silent.cancel();
    await eventually("the server hears of it", () => shop.cancelled.has("silent"));
    const begun = caller.stream("/test.Shop/Hang", "", { "x-id": "begun", "x-first": "1" });
    begun.on("error", () => undefined);
    await new Promise((resolve) => begun.once("data", resolve));
    begun.cancel();
    await eventually("the server hears of it", () => shop.cancelled.has("begun"));
    assert.equal(await caller.unary("/test.Shop/Echo", "still there"), "still there");
  });

  test("a server that dies within an answer ends the call, and no status is made up", async () => {
    const headers = { "x-route": "dying", "x-id": "dying", "x-first": "1" };
    const call = caller.stream("/test.Shop/Hang", "", headers);
    call.once("data", () => dying.break());
    const { messages, end } = await drain(call);
    assert.deepEqual(messages, ["first"]);
    assert.equal(end.code, status.INTERNAL);
  });

  test("calls are counted by method, for the cluster", async () => {
    await caller.unary("/test.Shop/Fail", `${status.ABORTED}`);
    const page = await sidecar.page("/stats/prometheus?filter=grpc");
    const series = `{envoy_cluster_name="shop",envoy_grpc_bridge_service="test.Shop",envoy_grpc_bridge_method="Fail"}`;
    assert.match(page, new RegExp(`^envoy_cluster_grpc_10${series} 1$`, "m"));
    assert.match(page, new RegExp(`^envoy_cluster_grpc_failure${series} \\d+$`, "m"));
    assert.match(await sidecar.page("/stats?filter=grpc"), /^cluster\.shop\.grpc\.test\.Shop\.Fail\.10: 1$/m);
  });

  test("gRPC-Web by fetch: binary and text, one message and many, a status of the server's and of ours", async () => {
    const url = `http://127.0.0.1:${ports.web}`;
    const post = async (path: string, type: string, message: string): Promise<{ response: Response; body: Buffer }> => {
      const isText = type.includes("text");
      const frame = Buffer.from(`\0\0\0\0${String.fromCharCode(message.length)}${message}`, "latin1");
      const response = await fetch(`${url}${path}`, {
        method: "POST",
        headers: { "content-type": type, accept: type },
        body: isText ? frame.toString("base64") : frame,
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      return { response, body: isText ? decodeWebText(bytes) : bytes };
    };
    for (const type of ["application/grpc-web+proto", "application/grpc-web-text"]) {
      const echo = await post("/test.Shop/Echo", type, "hi");
      assert.equal(echo.response.status, 200);
      assert.match(echo.response.headers.get("content-type") ?? "", /^application\/grpc-web(-text)?\+proto$/);
      assert.equal(echo.body.toString("latin1", 0, 7), "\0\0\0\0\u0002hi");
      assert.match(echo.body.toString("latin1", 7), /^\x80\0\0.+grpc-status:0\r\n/s);
      const emitted = (await post("/test.Shop/Emit", type, "2")).body.toString("latin1");
      assert.match(emitted, /^\0\0\0\0\tmessage 0\0\0\0\0\tmessage 1\x80\0\0.+grpc-status:0\r\n/s);
      const failed = await post("/test.Shop/Fail", type, "5");
      const told = failed.response.headers.get("grpc-status") ?? /grpc-status:(\d+)/.exec(failed.body.toString())?.[1];
      assert.equal(told, "5");
      const unknown = await post("/none.Service/Method", type, "");
      assert.deepEqual([unknown.response.status, unknown.response.headers.get("grpc-status")], [404, "12"]);
    }
  });

  test("the health service answers a gRPC client, and a probe over HTTP", async () => {
    const probe = new Caller(ports.health, suite);
    const check = (request: string): Promise<string | Ended> => probe.unary("/grpc.health.v1.Health/Check", request);
    assert.equal(await check(""), "\u0008\u0001");
    assert.deepEqual(await check("\n\u0001x"), { code: status.NOT_FOUND, details: "unknown service" });
    assert.equal(((await probe.unary("/grpc.health.v1.Health/Watch", "")) as Ended).code, status.UNIMPLEMENTED);
    assert.equal((await fetch(`http://127.0.0.1:${ports.health}/healthz`)).status, 200);
  });
});

/** Base64 with padding within: each padded part is a text of its own. */
function decodeWebText(bytes: Buffer): Buffer {
  const parts = bytes.toString("latin1").match(/[^=]+=*/g) ?? [];
  return Buffer.concat(parts.map((part) => Buffer.from(part, "base64")));
}

function canonical(line: string): string {
  const fields = JSON.parse(line) as Record<string, unknown>;
  return JSON.stringify(Object.keys(fields).sort().map((name) => [name, fields[name]])); // biome-ignore format: short
}

function sameLines(file: string): ReadonlySet<string> {
  return new Set(readFileSync(file, "utf8").split("\n").filter(Boolean).map(canonical));
}
