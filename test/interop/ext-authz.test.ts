import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { GrpcAuthorizer, HttpAuthorizer } from "../harness/authorizer.ts";
import {
  cluster,
  http2Cluster,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { type Answer, http1Asker, http2Asker, type Question } from "../harness/http-asker.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { Recorder } from "../harness/recorder.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

/* `ext_authz` in a sidecar of its own, before services that are others' code: grpc-js and node:http. */

const TYPE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3";
const FILTER = "envoy.filters.http.ext_authz";

function extAuthz(fields: Json): Json {
  return { name: FILTER, typed_config: { "@type": `${TYPE}.ExtAuthz`, transport_api_version: "V3", ...fields } };
}

const overGrpc = { grpc_service: { envoy_grpc: { cluster_name: "authz" }, timeout: "20s" } };
const overHttp = {
  http_service: {
    server_uri: { uri: "http://authz", cluster: "authz-http", timeout: "20s" },
    path_prefix: "/check",
    authorization_request: { headers_to_add: [{ key: "x-added", value: "%REQ(:METHOD)%" }] },
    authorization_response: {
      allowed_upstream_headers: { patterns: [{ exact: "x-user" }] },
      allowed_client_headers_on_success: { patterns: [{ prefix: "x-quota" }] },
    },
  },
};
const FILTERS: Readonly<Record<string, Json>> = {
  grpc: extAuthz({ ...overGrpc, metadata_context_namespaces: ["nobody"] }),
  body: extAuthz({ ...overGrpc, with_request_body: { max_request_bytes: 100_000 } }),
  http: extAuthz(overHttp),
  open: extAuthz({
    grpc_service: { envoy_grpc: { cluster_name: "nobody" } },
    failure_mode_allow: true,
    failure_mode_allow_header_add: true,
  }),
  slow: extAuthz({
    grpc_service: { envoy_grpc: { cluster_name: "authz" }, timeout: "0.05s" },
    status_on_error: { code: 503 },
  }),
};

const perRoute = (settings: Json): Json => ({
  typed_per_filter_config: { [FILTER]: { "@type": `${TYPE}.ExtAuthzPerRoute`, ...settings } },
});
const to = { route: { cluster: "app", timeout: "60s" } };
const routes = inlineRoutes([
  {
    name: "any",
    domains: ["*"],
    routes: [
      { match: { prefix: "/open" }, ...to, ...perRoute({ disabled: true }) },
      { match: { prefix: "/tier" }, ...to, ...perRoute({ check_settings: { context_extensions: { tier: "gold" } } }) },
      { match: { prefix: "/other" }, ...to, ...perRoute({ check_settings: overHttp }) },
      { match: { prefix: "/" }, ...to },
    ],
  },
]);

describe("ext_authz before services of others", () => {
  const suite = lastFirst({ after });
  let grpc: GrpcAuthorizer;
  let http: HttpAuthorizer;
  let app: Recorder;
  let sidecar: SidecarProcess;
  let log = "";
  const ports = new Map<string, number>();

  before(async () => {
    grpc = await GrpcAuthorizer.listen(suite);
    http = await HttpAuthorizer.listen(suite);
    app = await Recorder.listen(suite);
    log = join(scratchFolder(suite), "access.log");
    const listeners = Object.entries(FILTERS).map(([name, filter]) =>
      listener({ name, routes, filters: [filter], http: { access_log: [jsonAccessLog(log)] } }),
    );
    const clusters = [
      cluster("app", [app.port]),
      http2Cluster("authz", [grpc.port]),
      cluster("authz-http", [http.port]),
    ];
    sidecar = await startSidecar(staticBootstrap(listeners, clusters), suite);
    for (const name of Object.keys(FILTERS)) ports.set(name, await sidecar.port(name));
  });

  beforeEach(() => {
    grpc.answer = () => ({ status: { code: 0 } });
    http.answer = () => ({ status: 200 });
    for (const list of [grpc.checks, http.checks, app.requests]) list.length = 0;
    app.headers = {};
  });

  const ask = (name: string, question: Question, owner: Owner): Promise<Answer> =>
    http1Asker(ports.get(name) ?? 0, owner).ask(question);
  const logLine = async (path: string): Promise<Json> => {
    const lines = (): Json[] => {
      const text = readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line !== "");
      return text.map((line) => JSON.parse(line) as Json).filter((line) => line["path"] === path);
    };
    await eventually(`${path} is logged`, () => lines().length > 0);
    return lines()[0]!;
  };

  test("what a gRPC service allows goes on, changed as it says, and its answer too", async (t) => {
    app.headers = { "x-app": "1" };
    grpc.answer = () => ({
      status: { code: 0 },
      ok_response: {
        headers: [
          { header: { key: "x-user", value: "ada" } },
          { header: { key: "X-Trace", value: "b" }, append: { value: true } },
        ],
        headers_to_remove: ["authorization"],
        response_headers_to_add: [{ header: { key: "x-quota", value: "9" } }],
        query_parameters_to_set: [{ key: "lang", value: "en" }],
        query_parameters_to_remove: ["token"],
      },
    });
    const headers = { authorization: "Bearer secret", "x-user": "mallory", "x-trace": "a" };
    const answer = await ask("grpc", { path: "/shop?token=1&lang=fr&x=%20", headers }, t);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["x-quota"], "9");
    assert.equal(answer.headers["x-app"], "1");
    const [request] = app.requests;
    assert.equal(request?.url, "/shop?lang=en&x=%20");
    const fields = new Map(request?.headers);
    assert.equal(fields.get("x-user"), "ada");
    assert.equal(fields.get("x-trace"), "a,b");
    assert.equal(fields.has("authorization"), false);
    const { source, destination, request: asked } = grpc.checks[0]!.attributes;
    assert.equal(source.address.socket_address?.address, "127.0.0.1");
    assert.equal(destination.address.socket_address?.port_value, ports.get("grpc"));
    assert.equal(asked.http.path, "/shop?token=1&lang=fr&x=%20");
    assert.equal(asked.http.headers["authorization"], "Bearer secret");
    assert.equal(asked.http.headers[":method"], "GET");
    assert.equal(asked.http.protocol, "HTTP/1.1");
    assert.ok(Math.abs(Number(asked.time.seconds) - Date.now() / 1000) < 60);
  });

  test("what it denies is answered as it says, and the log tells", async (t) => {
    grpc.answer = () => ({
      status: { code: 16 },
      denied_response: {
        status: { code: 401 },
        headers: [
          { header: { key: "set-cookie", value: "a=1" } },
          { header: { key: "set-cookie", value: "b=2" } },
          { header: { key: "content-type", value: "application/json" } },
          { header: { key: "content-length", value: "99999" } },
          { header: { key: "transfer-encoding", value: "chunked" } },
        ],
        body: '{"why":"ünknown"}',
      },
    });
    const answer = await ask("grpc", { method: "POST", path: "/denied", body: [Buffer.from("x")] }, t);
    assert.equal(answer.status, 401);
    assert.equal(answer.body.toString(), '{"why":"ünknown"}');
    assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.headers["content-length"], "18");
    assert.equal(app.requests.length, 0);
    const line = await logLine("/denied");
    assert.equal(line["flags"], "UAEX");
    assert.equal(line["details"], "ext_authz_denied");
    assert.equal(await sidecar.stat("cluster.app.ext_authz.denied"), 1);
  });

  test("a gRPC call that is denied gets a gRPC status", async (t) => {
    grpc.answer = () => ({ status: { code: 7 }, denied_response: { status: { code: 401 }, body: "who are you" } });
    const asker = await http2Asker(ports.get("grpc") ?? 0, t);
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const answer = await asker.ask({ method: "POST", path: "/shop.Cart/Add", headers, body: [Buffer.alloc(5)] });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["grpc-status"], "16");
    assert.equal(answer.headers["grpc-message"], "who are you");
  });

  test("a body is shown whole and then goes on, however it comes; one that is too large is refused unasked", async (t) => {
    const body = [Buffer.alloc(60_000, "a"), Buffer.alloc(30_000, "b")];
    const answer = await ask("body", { method: "POST", path: "/body", body }, t);
    assert.equal(answer.status, 200);
    assert.equal(grpc.checks[0]?.attributes.request.http.body.length, 90_000);
    assert.equal(grpc.checks[0]?.attributes.request.http.headers["x-envoy-auth-partial-body"], "false");
    assert.ok(app.requests[0]?.body.equals(Buffer.concat(body)));
    const trailers = await ask("body", { method: "POST", path: "/t", body, trailers: { "x-sum": "1" } }, t);
    assert.equal(trailers.status, 200);
    assert.equal(grpc.checks.length, 2);
    const large = [Buffer.alloc(70_000), Buffer.alloc(40_000)];
    assert.equal((await ask("body", { method: "POST", path: "/large", body: large }, t)).status, 413);
    const expecting = { method: "POST", path: "/expect", headers: { expect: "100-continue" }, body };
    const asked = await ask("body", expecting, t);
    assert.equal(asked.status, 200);
    assert.ok(asked.interim.includes(100));
    assert.equal(grpc.checks.length, 3);
  });

  test("an HTTP service gets a request like ours, without its body, and 200 allows", async (t) => {
    http.answer = () => ({ status: 200, headers: { "x-user": "ada", "x-quota-left": "3", "x-own": "no" } });
    const headers = { authorization: "Bearer x", cookie: "a=b", "x-user": "mallory" };
    const answer = await ask("http", { method: "POST", path: "/a?b", headers, body: [Buffer.from("hello")] }, t);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["x-quota-left"], "3");
    assert.equal(answer.headers["x-own"], undefined);
    const [check] = http.checks;
    assert.equal(`${check?.method} ${check?.url}`, "POST /check/a?b");
    assert.equal(check?.headers["authorization"], "Bearer x");
    assert.equal(check?.headers["cookie"], undefined);
    assert.equal(check?.headers["x-added"], "POST");
    assert.equal(check?.headers.host, "asked.test");
    assert.equal(check?.body.length, 0);
    assert.equal(new Map(app.requests[0]?.headers).get("x-user"), "ada");
    assert.equal(app.requests[0]?.body.toString(), "hello");
  });

  test("an HTTP service's answer is the client's, byte for byte, where it is no 200 and no 5xx", async (t) => {
    const body = Buffer.from([0, 0xff, 0xfe, 0x80]);
    http.answer = () => ({ status: 302, headers: { location: "/login", "set-cookie": ["a=1", "b=2"] }, body });
    const answer = await ask("http", { path: "/" }, t);
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.location, "/login");
    assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
    assert.deepEqual(answer.body, body);
    http.answer = () => ({ status: 503, body: "down" });
    const failed = await ask("http", { path: "/" }, t);
    assert.deepEqual([failed.status, failed.body.length], [403, 0]);
  });

  test("a route may open itself, add what the service is told, and choose who is asked", async (t) => {
    grpc.answer = () => ({ status: { code: 7 } });
    assert.equal((await ask("grpc", { path: "/open" }, t)).status, 200);
    assert.equal(grpc.checks.length, 0);
    assert.equal((await ask("grpc", { path: "/tier" }, t)).status, 403);
    assert.deepEqual({ ...grpc.checks[0]?.attributes.context_extensions }, { tier: "gold" });
    assert.equal((await ask("grpc", { path: "/other" }, t)).status, 200);
    assert.equal(http.checks[0]?.url, "/check/other");
  });

  test("where nobody can be asked nothing passes, unless that is said, and the request says so", async (t) => {
    assert.equal((await ask("open", { path: "/" }, t)).status, 200);
    assert.equal(new Map(app.requests[0]?.headers).get("x-envoy-auth-failure-mode-allowed"), "true");
    grpc.answer = () => "never";
    const answer = await ask("slow", { path: "/slow" }, t);
    assert.deepEqual([answer.status, answer.body.length], [503, 0]);
    assert.equal((await logLine("/slow"))["details"], "ext_authz_error");
    await eventually("the call is given up", () => grpc.cancelled > 0);
    for (const wrong of [{ status: 14 }, Buffer.from("ffffff", "hex")] as const) {
      grpc.answer = () => wrong;
      assert.equal((await ask("grpc", { path: "/" }, t)).status, 403);
    }
    assert.equal(app.requests.length, 1);
  });

  test("a client that goes away takes the question along", async () => {
    grpc.answer = () => "never";
    const before = grpc.cancelled;
    const socket = connect(ports.get("grpc") ?? 0, "127.0.0.1");
    socket.write("GET /gone HTTP/1.1\r\nhost: a\r\n\r\n");
    await eventually("it is asked", () => grpc.checks.length === 1);
    socket.resetAndDestroy(); // a FIN alone may be of a client that still reads
    await eventually("the call is given up", () => grpc.cancelled > before);
    assert.equal(await sidecar.stat("cluster.authz.upstream_rq_active"), 0);
  });

  test("CVE-2021-32779: a target with a fragment is refused before anybody is asked", async (t) => {
    const socket = connect(ports.get("grpc") ?? 0, "127.0.0.1");
    t.after(() => socket.destroy());
    socket.write("GET /admin#x HTTP/1.1\r\nhost: a\r\n\r\n");
    const [line] = await new Promise<string[]>((resolve) =>
      socket.once("data", (data) => resolve(String(data).split("\r\n"))),
    );
    assert.match(line ?? "", /^HTTP\/1.1 400/);
    assert.equal(grpc.checks.length, 0);
  });

  test("WebSocket upgrades are asked about by their head", async (t) => {
    grpc.answer = () => ({ status: { code: 7 } });
    const headers = { connection: "upgrade", upgrade: "websocket" };
    const answer = await ask("body", { path: "/ws", headers }, t);
    assert.equal(answer.status, 403);
  });
});
