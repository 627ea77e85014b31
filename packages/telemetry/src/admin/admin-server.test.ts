import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Log } from "../log.ts";
import type { AdminPage } from "./admin-page.ts";
import { AdminServer } from "./admin-server.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A server with these pages on a free loopback port; gone at the end of the test. */
async function serve(t: TestContext, pages: readonly AdminPage[]): Promise<{ port: number; errors: unknown[] }> {
  const errors: unknown[] = [];
  const log = { error: (_: string, fields: { error: unknown }) => errors.push(fields.error) } as unknown as Log;
  const server = new AdminServer(pages, log);
  const listening = await server.listen(LOOPBACK);
  t.after(() => server.close());
  assert.ok(listening.ok);
  return { port: listening.value.port, errors };
}

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, agent: false, ...options }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body }),
      );
    });
    call.on("error", reject);
    call.end(options.body);
  });
}

const hello: AdminPage = { path: "/hello", method: "GET", help: "says hello", answer: () => ({ body: "hello\n" }) };

test("answers its pages, lists them at /, and names them where there is none", async (t) => {
  const { port } = await serve(t, [hello]);
  assert.deepEqual(await ask(port, "/hello?x=1"), { status: 200, type: "text/plain; charset=utf-8", body: "hello\n" });
  const help = (await ask(port, "/help")).body;
  assert.match(help, /^admin commands are:\n {2}\/: .*\n {2}\/hello: says hello\n {2}\/help: /);
  const missing = await ask(port, "/helo");
  assert.equal(missing.status, 404);
  assert.ok(missing.body.includes(help), "as Envoy does");
});

test("the home page has a link for what is read and a form for what changes something", async (t) => {
  const params = [
    { name: "level", help: "of <all>", values: ["info", "debug"] },
    { name: "dry", help: "only look", values: [] },
    { name: "paths", help: "names" },
  ];
  const change: AdminPage = { path: "/change/it", method: "POST", help: "a & b", params, answer: () => ({ body: "" }) };
  const { port } = await serve(t, [hello, change]);
  const home = await ask(port, "/");
  assert.equal(home.type, "text/html; charset=utf-8");
  assert.match(home.body, /<a href="hello">\/hello<\/a>/);
  assert.match(home.body, /<form action="change\/it" method="POST"><button>\/change\/it<\/button>/);
  assert.match(home.body, /<select name="level"><option><\/option><option>info<\/option>/);
  assert.match(home.body, /level: of &lt;all&gt;/);
  assert.match(home.body, /<input type="checkbox" name="dry" value="on">/);
  assert.match(home.body, /<input type="text" name="paths">/);
  assert.match(
    (await ask(port, "/help")).body,
    / {2}\/change\/it \(POST\): a & b\n {6}level: of <all>; one of info, debug\n/,
  );
});

test("a posted form stands for what is behind the question mark, and the latter wins", async (t) => {
  const page: AdminPage = { path: "/set", method: "POST", help: "", answer: (query) => ({ body: query.toString() }) };
  const { port } = await serve(t, [page]);
  const form = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
  const post = (path: string, body: string, headers: Record<string, string> = form) =>
    ask(port, path, { method: "POST", headers, body });
  assert.equal((await post("/set", "a=1&b=%C3%A4")).body, "a=1&b=%C3%A4");
  assert.equal((await post("/set?a=2", "a=1&b=3")).body, "a=2&b=3");
  assert.equal((await post("/set", '{"a":1}', { "content-type": "application/json" })).body, "");
  assert.equal((await post("/set", `a=${"x".repeat(65_534)}`)).status, 200);
  assert.equal((await post("/set", `a=${"x".repeat(65_535)}`)).status, 413);
});

test("a page that changes something may show it with GET as long as it is asked for nothing", async (t) => {
  const page: AdminPage = { ...hello, method: "POST", showsWithGet: true };
  const { port } = await serve(t, [page]);
  assert.equal((await ask(port, "/hello")).status, 200);
  assert.equal((await ask(port, "/hello?level=debug")).status, 405);
  assert.equal((await ask(port, "/hello?level=debug", { method: "POST" })).status, 200);
});

test("a HEAD request gets no body, another method is refused", async (t) => {
  const { port } = await serve(t, [hello]);
  assert.deepEqual(await ask(port, "/hello", { method: "HEAD" }), {
    status: 200,
    type: "text/plain; charset=utf-8",
    body: "",
  });
  assert.equal((await ask(port, "/hello", { method: "POST" })).status, 405);
});

test("what changes something takes POST, and not from another origin", async (t) => {
  let called = 0;
  const page: AdminPage = {
    path: "/quit",
    method: "POST",
    help: "",
    answer: () => {
      called += 1;
      return { body: "OK\n" };
    },
  };
  const { port } = await serve(t, [page]);
  const refused = await ask(port, "/quit");
  assert.deepEqual([refused.status, refused.body], [405, "Method GET not allowed, POST required.\n"]);
  assert.equal((await ask(port, "/quit", { method: "POST", headers: { origin: "http://evil.test" } })).status, 403);
  assert.equal((await ask(port, "/quit", { method: "POST", headers: { origin: "null" } })).status, 403);
  assert.equal(called, 0);
  assert.equal((await ask(port, "/quit", { method: "POST" })).status, 200);
  const own = { origin: `http://127.0.0.1:${port}` };
  assert.equal((await ask(port, "/quit", { method: "POST", headers: own })).status, 200);
  assert.equal(called, 2);
});

test("a name that somebody else may own is refused as the host (DNS rebinding)", async (t) => {
  const { port } = await serve(t, [hello]);
  for (const host of ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "localhost.evil.test"])
    assert.equal((await ask(port, "/hello", { headers: { host } })).status, 403, host);
  for (const host of ["localhost", "LOCALHOST:15000", "127.0.0.1", "[::1]:15000", "10.0.0.1:1"])
    assert.equal((await ask(port, "/hello", { headers: { host } })).status, 200, host);
});

test("a page that throws answers 500, is logged, and the server goes on", async (t) => {
  const broken: AdminPage = {
    ...hello,
    path: "/broken",
    answer: () => {
      throw new Error("secret detail");
    },
  };
  const { port, errors } = await serve(t, [broken, hello]);
  const answer = await ask(port, "/broken");
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.body, /secret/);
  assert.equal(errors.length, 1);
  assert.equal((await ask(port, "/hello")).status, 200);
});

test("bytes that are no HTTP end that connection alone", async (t) => {
  const { port } = await serve(t, [hello]);
  await new Promise<void>((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write("\0\0\0\r\n\r\n"));
    socket.resume();
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
  });
  assert.equal((await ask(port, "/hello")).status, 200);
});

test("a path that is no URL is refused", async (t) => {
  const { port } = await serve(t, [hello]);
  for (const path of ["//", "http://[", "http://a:b/"]) assert.equal((await ask(port, path)).status, 400, path);
  assert.equal((await ask(port, "/hello")).status, 200);
});

test("a taken address is told", async (t) => {
  const { port } = await serve(t, [hello]);
  const second = await new AdminServer([], {} as Log).listen({ ...LOOPBACK, port });
  assert.equal(second.ok ? "" : second.error.code, "EADDRINUSE");
});

test("on a Unix socket, whoever can open it may call this machine what they like", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-admin-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "admin.sock");
  const server = new AdminServer([hello], {} as Log);
  t.after(() => server.close());
  assert.deepEqual(await server.listen({ path }), { ok: true, value: { path } });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath: path, path: "/hello", agent: false, headers: { host: "anything" } }, resolve)
      .on("error", reject)
      .end();
  });
  response.resume();
  assert.equal(response.statusCode, 200);
});

test("more large answers than are sent at once wait for their turn", async (t) => {
  const pieces = function* (): Generator<string> {
    for (let i = 0; i < 512; i++) yield "x".repeat(64 * 1024);
  };
  const large: AdminPage = { ...hello, path: "/large", answer: () => ({ body: pieces() }) };
  const { port, errors } = await serve(t, [
    hello,
    large,
    { ...hello, path: "/small", answer: () => ({ body: ["small"] }) },
  ]);
  const held = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const call = request({ host: "127.0.0.1", port, path: "/large", agent: false });
      call.end();
      const [answer] = (await once(call, "response")) as [IncomingMessage]; // and nobody reads it
      return answer.on("error", () => undefined);
    }),
  );
  const ninth = ask(port, "/small");
  assert.equal((await ask(port, "/hello")).status, 200, "the others go on");
  for (const answer of held) answer.destroy();
  assert.deepEqual(await ninth, { status: 200, type: "text/plain; charset=utf-8", body: "small" });
  assert.deepEqual(errors, []);
});
