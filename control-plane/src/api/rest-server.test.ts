import assert from "node:assert/strict";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { quietLog } from "@heddle/xds/testing";
import { service } from "../source/source-contract.ts";
import type { Caller } from "./access.ts";
import { RestServer } from "./rest-server.ts";
import { ApiFixture, CLUSTER, cluster } from "./testing.ts";
import { type Access, OPEN_ACCESS } from "./token-file.ts";

const YAML = { "content-type": "application/yaml" };
const JSON_TYPE = { "content-type": "application/json" };

test("resources are put, listed, got, changed and deleted", async (t) => {
  const { ask } = await serve(t);
  const put = await ask("POST", "/v1/resources?manager=test", YAML, `${cluster("a/b")}---\n${service("s")}`);
  assert.equal(put.status, 200, put.body);
  assert.deepEqual(
    put.json.outcomes.map(({ outcome, version }: Json) => [outcome, version]),
    [
      ["created", 1],
      ["created", 1],
    ],
  );
  const list = await ask("GET", "/v1/resources?type=cluster&limit=1");
  assert.deepEqual(
    [list.json.revision, list.json.resources[0].key.name, list.json.resources[0].manager],
    [1, "a/b", "test"],
  );
  const got = await ask("GET", "/v1/resources/cluster/a%2Fb");
  assert.deepEqual([got.status, got.headers.etag, got.json.resource.name], [200, '"1"', "a/b"]);
  assert.equal((await ask("GET", "/v1/resources/cluster/a%2Fb", { "if-none-match": '"1"' })).status, 304);
  assert.equal((await ask("GET", "/v1/resources/service/default/s")).json.key.namespace, "default");
  assert.equal((await ask("GET", "/v1/resources/service/s")).status, 200);
  const changed = await ask("PUT", "/v1/resources/service/s", { ...YAML, "if-match": '"1"' }, service("s", 81));
  assert.deepEqual([changed.status, changed.headers.etag], [200, '"2"']);
  assert.equal((await ask("DELETE", "/v1/resources/cluster/a%2Fb")).status, 200);
  assert.equal((await ask("GET", "/v1/resources/cluster/a%2Fb")).status, 404);
});

test("versions are preconditions: 412 by header, 409 by query", async (t) => {
  const { ask, api } = await serve(t);
  await api.applied(cluster("a"));
  const put = (headers: object, query = "") =>
    ask("PUT", `/v1/resources/cluster/a${query}`, { ...YAML, ...headers }, cluster("a", 2));
  assert.equal((await put({ "if-match": '"7"' })).status, 412);
  assert.equal((await put({ "if-none-match": "*" })).status, 412);
  assert.equal((await put({ "if-match": "1" })).status, 400);
  assert.equal((await put({ "if-match": '"1"', "if-none-match": "*" })).status, 400);
  const conflict = await put({}, "?expectedVersion=7");
  assert.deepEqual([conflict.status, conflict.json.error.conflicts[0].found], [409, 1]);
  assert.equal((await ask("PUT", "/v1/resources/cluster/b", { ...YAML, "if-match": "*" }, cluster("b"))).status, 412);
  assert.equal((await ask("DELETE", "/v1/resources/cluster/a", { "if-match": '"7"' })).status, 412);
  assert.equal(api.store.revision, 1);
  assert.equal((await put({ "if-match": "*" })).status, 200);
  assert.equal((await ask("PUT", "/v1/resources/cluster/other", YAML, cluster("a", 3))).status, 400);
  api.store.entries = undefined;
  assert.equal((await put({ "if-match": "*" })).status, 503, "of a store that has not been read nobody knows");
});

test("several texts are one batch, each fault in its own; a batch of keys is deleted", async (t) => {
  const { ask, api } = await serve(t);
  const apply = (manifests: object[], more: object = {}) =>
    ask("POST", "/v1/resources:apply", JSON_TYPE, JSON.stringify({ manifests, ...more }));
  const bad = await apply([
    { source: "a.yaml", text: cluster("a") },
    { source: "b.yaml", text: "\nlb: [\n" },
  ]);
  assert.deepEqual([bad.status, bad.json.error.diagnostics[0].source, api.store.revision], [400, "b.yaml", 0]);
  const dry = await apply([{ source: "a.yaml", text: cluster("a") }], { dryRun: true, includeContent: true });
  assert.deepEqual([dry.status, dry.json.outcomes[0].after.name, api.store.revision], [200, "a", 0]);
  assert.equal((await apply([{ binary: { "@type": CLUSTER, name: "b", type: "STATIC" } }])).status, 200);
  assert.equal((await apply([], { expectedVersion: "x" })).status, 400);
  assert.equal((await apply([{ txt: "" }])).status, 400);
  const keys = [{ type: "cluster", name: "b" }];
  const gone = await ask("POST", "/v1/resources:delete", JSON_TYPE, JSON.stringify({ keys }));
  assert.deepEqual([gone.status, gone.json.outcomes[0].outcome], [200, "deleted"]);
});

test("a watch is a line of JSON for each event, from the state or from a revision on", async (t) => {
  const { api, stream, clock } = await serve(t);
  await api.applied(cluster("a"));
  const watch = await stream("/v1/resources?watch=true&type=cluster");
  assert.deepEqual(await watch.lines(2), ["PUT 1 a", "SYNCED 1"]);
  await api.applied(cluster("b"));
  assert.deepEqual(await watch.lines(1), ["PUT 2 b"]);
  clock.advance(30_000);
  assert.deepEqual(await watch.lines(1), ["SYNCED 2"]);
  const later = await stream("/v1/resources?watch=true&from=1");
  assert.deepEqual(await later.lines(1), ["PUT 2 b"]);
});

test("what is not understood is refused by name, before anything is done", async (t) => {
  const { ask, api } = await serve(t);
  const text = cluster("a");
  for (const [status, method, path, headers, body] of [
    [404, "GET", "/", {}, ""],
    [404, "GET", "/v1/resourcez", {}, ""],
    [404, "GET", "/v1/resources/clusterr/a", {}, ""],
    [404, "GET", "/v1/resources/cluster/a/b", {}, ""],
    [400, "GET", "/v1/resources/cluster/%zz", {}, ""],
    [400, "GET", "/v1/resources?watchh=true", {}, ""],
    [400, "GET", "/v1/resources?limit=1&limit=2", {}, ""],
    [400, "GET", "/v1/resources?limit=-1", {}, ""],
    [400, "GET", "/v1/resources?type=x", {}, ""],
    [400, "GET", "/v1/resources?from=3", {}, ""],
    [405, "PATCH", "/v1/resources", YAML, text],
    [405, "POST", "/v1/resources/cluster/a", YAML, text],
    [405, "GET", "/v1/resources:apply", {}, ""],
    [405, "HEAD", "/v1/resources?watch=true", {}, ""],
    [415, "POST", "/v1/resources", {}, text],
    [415, "POST", "/v1/resources", { "content-type": "text/plain" }, text],
    [415, "POST", "/v1/resources", { "content-type": "application/x-www-form-urlencoded" }, text],
    [415, "POST", "/v1/resources", { "content-type": "application/yaml; charset=latin1" }, text],
    [415, "POST", "/v1/resources", { ...YAML, "content-encoding": "gzip" }, text],
    [415, "POST", "/v1/resources:apply", YAML, text],
    [400, "POST", "/v1/resources", JSON_TYPE, text],
    [400, "POST", "/v1/resources", YAML, Buffer.from([0xff])],
    [400, "POST", "/v1/resources?dryRun=maybe", YAML, text],
  ] as const) {
    const answer = await ask(method, path, headers, body);
    assert.equal(answer.status, status, `${method} ${path} ${answer.body}`);
    if (method !== "HEAD") assert.ok(answer.json.error.message.length > 0);
  }
  assert.equal(api.store.commits, 0);
});

test("no web page gets anywhere: foreign host names and origins are refused", async (t) => {
  const { ask, api } = await serve(t);
  assert.equal((await ask("GET", "/v1/resources", { host: "evil.example" })).status, 403);
  assert.equal((await ask("GET", "/v1/resources", { host: "127.0.0.1.evil.example:80" })).status, 403);
  assert.equal((await ask("POST", "/v1/resources", { ...YAML, origin: "http://127.0.0.1" }, cluster("a"))).status, 403);
  const preflight = await ask("OPTIONS", "/v1/resources", {
    origin: "http://evil.example",
    "access-control-request-method": "POST",
  });
  assert.deepEqual([preflight.status, preflight.headers["access-control-allow-origin"]], [403, undefined]);
  assert.equal((await ask("GET", "/v1/resources", { host: "LOCALHOST:1" })).status, 200);
  assert.equal(api.store.commits, 0);
});

test("a body has a bound, whether its length is said or not", async (t) => {
  const { ask, port, api } = await serve(t);
  const said = await raw(
    port,
    "POST /v1/resources HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/yaml\r\ncontent-length: 8388609\r\n\r\n",
  );
  assert.match(said, /^HTTP\/1\.1 413 /);
  assert.match(said, /connection: close/i);
  const chunked = await ask(
    "POST",
    "/v1/resources",
    { ...YAML, "transfer-encoding": "chunked" },
    Buffer.alloc(9 * 1024 * 1024, "#"),
  );
  assert.equal(chunked.status, 413);
  const head = await raw(port, `GET /v1/resources HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(20_000)}\r\n\r\n`);
  assert.match(head, /^HTTP\/1\.1 431 /);
  assert.equal(api.store.commits, 0);
});

test("with tokens nobody gets in without one, nothing of a body is read before, and a lost token ends its watch", async (t) => {
  const access = new ScriptedAccess();
  const { ask, stream, api, port } = await serve(t, access);
  await api.applied(cluster("a"));
  const denied = await ask("GET", "/v1/resources");
  assert.deepEqual(
    [denied.status, denied.headers["www-authenticate"], denied.json.error.code],
    [401, "Bearer", "UNAUTHENTICATED"],
  );
  const wrong = await raw(
    port,
    "POST /v1/resources HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\ncontent-type: application/yaml\r\ncontent-length: 100\r\n\r\n",
  );
  assert.match(wrong, /^HTTP\/1\.1 401 /);
  assert.ok(!wrong.includes("Bearer no"));
  const authorization = "Bearer yes";
  assert.equal((await ask("GET", "/v1/resources", { authorization, host: "heddle.example" })).status, 200);
  assert.equal((await ask("PUT", "/v1/resources/cluster/a", { authorization, ...YAML }, cluster("a"))).status, 403);
  const watch = await stream("/v1/resources?watch=true", { authorization });
  assert.deepEqual(await watch.lines(2), ["PUT 1 a", "SYNCED 1"]);
  access.take();
  await watch.ended;
});

/** Answers are looked into by hand. */
type Json = ReturnType<typeof JSON.parse>;

class ScriptedAccess implements Access {
  readonly isOpen = false;
  #known = true;
  readonly #watchers = new Set<() => void>();

  callerOf(authorization: string | undefined): Caller | undefined {
    if (!this.#known || authorization !== "Bearer yes") return undefined;
    return { name: "reader", role: "read", groups: undefined, namespaces: undefined };
  }

  callerOfIdentity(): undefined {
    return undefined;
  }

  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  take(): void {
    this.#known = false;
    for (const watcher of this.#watchers) watcher();
  }

  close(): void {}
}

async function serve(t: TestContext, access: Access = OPEN_ACCESS) {
  const api = await new ApiFixture().start();
  const { clock } = api;
  const server = new RestServer({ service: api.service, access, clock, log: quietLog });
  const listening = await server.listen({ host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  assert.ok(listening.ok);
  const { port } = listening.value;
  const open = (method: string, path: string, headers: object, body?: string | Buffer): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const call = request({ host: "127.0.0.1", port, method, path, agent: false, headers: { ...headers } }, resolve);
      call.on("error", reject);
      call.end(body);
    });
  const ask = async (method: string, path: string, headers: object = {}, body?: string | Buffer) => {
    const response = await open(method, path, headers, body);
    let text = "";
    for await (const chunk of response) text += chunk;
    const json: Json = text === "" ? undefined : JSON.parse(text);
    return { status: response.statusCode, headers: response.headers, body: text, json };
  };
  /** A watch whose events come as lines, each when it is asked for. */
  const stream = async (path: string, headers: object = {}) => {
    const response = await open("GET", path, headers);
    assert.deepEqual([response.statusCode, response.headers["content-type"]], [200, "application/x-ndjson"]);
    const ended = new Promise<void>((resolve) => response.once("close", resolve).on("error", () => undefined));
    t.after(() => response.destroy());
    const chunks = response[Symbol.asyncIterator]();
    let text = "";
    const lines = async (count: number): Promise<readonly string[]> => {
      while (text.split("\n").length <= count) text += String((await chunks.next()).value);
      const all = text.split("\n");
      text = all.slice(count).join("\n");
      return all.slice(0, count).map((line) => {
        const event: Json = JSON.parse(line);
        return [event.type, event.revision, event.resource?.key.name].filter((part) => part !== undefined).join(" ");
      });
    };
    return { lines, ended };
  };
  return { api, clock, port, ask, stream };
}

/** What comes back to these bytes, until the server closes. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(text));
    socket.setEncoding("latin1").on("data", (chunk) => (received += chunk));
    socket.on("error", () => undefined).on("close", () => resolve(received));
  });
}
