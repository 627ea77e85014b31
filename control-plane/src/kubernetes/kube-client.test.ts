import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import { ManualClock } from "@heddle/base";
import { KubeClient } from "./kube-client.ts";
import { KubeError } from "./kube-error.ts";

describe("a client of an API server", () => {
  const ends: (() => unknown)[] = [];
  const clock = new ManualClock();
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    assert.equal(clock.pending, 0);
  });

  const connect = async (serve: Parameters<typeof createServer>[1], token = () => "t") => {
    const server: Server = createServer({}, serve);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    let forgotten = 0;
    const headers = () => ({ authorization: `Bearer ${token()}` });
    const access = {
      server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      namespace: "default",
      credentials: async () => ({
        ca: undefined,
        certificate: undefined,
        key: undefined,
        serverName: undefined,
        headers: headers(),
      }),
      forget: () => {
        forgotten += 1;
      },
    };
    const client = new KubeClient(access, clock);
    ends.push(
      () => server.closeAllConnections(),
      () => server.close(),
      () => client.close(),
    );
    return { client, forgotten: () => forgotten };
  };

  it("requests that come at once, before there is a connection, are all answered", async () => {
    const { client } = await connect((_, response) => response.end("{}"));
    const all = Array.from({ length: 20 }, () => client.request({ method: "GET", path: "/a" }));
    assert.deepEqual(
      await Promise.all(all),
      Array.from({ length: 20 }, () => ({})),
    );
  });

  it("sends what it is told to, and takes nothing but an object for an answer", async () => {
    const seen: unknown[] = [];
    const { client } = await connect((request, response) => {
      const { method, url, headers } = request;
      seen.push([method, url, headers.authorization, headers["content-type"], headers.accept]);
      response.end(url === "/list" ? "[]" : '{"a":1}');
    });
    const patch = { method: "PATCH", path: "/a/b", contentType: "application/merge-patch+json", body: {} } as const;
    assert.deepEqual(await client.request({ ...patch, query: { limit: 5, watch: undefined } }), { a: 1 });
    assert.deepEqual(seen, [["PATCH", "/a/b?limit=5", "Bearer t", "application/merge-patch+json", "application/json"]]);
    await assert.rejects(client.request({ method: "GET", path: "/list" }), /the answer is no object/);
  });

  it("an answer that is none is an error with its status, its reason and how long to wait, and without our token", async () => {
    const { client, forgotten } = await connect(
      ({ url }, response) => {
        const status = { kind: "Status", code: 429, reason: "TooManyRequests", message: "too many", details: {} };
        if (url === "/busy") response.writeHead(429, { "retry-after": "7" }).end(JSON.stringify(status));
        else if (url === "/elsewhere") response.writeHead(302, { location: "http://192.0.2.1/" }).end();
        else response.writeHead(401).end("Unauthorized");
      },
      () => "s3cret",
    );
    const failure = (path: string) =>
      client.request({ method: "GET", path }).then(
        () => assert.fail("it was answered"),
        (error: unknown) => error as KubeError,
      );
    const busy = await failure("/busy");
    assert.ok(busy instanceof KubeError);
    assert.deepEqual(
      [busy.status, busy.reason, busy.message, busy.retryAfterMs],
      [429, "TooManyRequests", "too many", 7000],
    );
    assert.equal((await failure("/elsewhere")).status, 302);
    const refused = await failure("/x");
    assert.deepEqual([refused.status, forgotten()], [401, 1]);
    for (const error of [busy, refused]) assert.doesNotMatch(String(error.stack), /s3cret/);
  });

  it("a watch brings lines as they come, ends with its answer, and is ended when it is silent for too long", async () => {
    const open: { write(text: string): void; end(): void }[] = [];
    const { client } = await connect((_, response) => {
      response.write('{"a":1}\n{"b"');
      open.push(response);
    });
    const lines: string[] = [];
    let told = Promise.withResolvers<void>();
    const watch = () =>
      client.watch({
        path: "/a",
        query: { watch: true },
        silentMs: 1000,
        signal: new AbortController().signal,
        onOpen: () => {},
        onLine: (line) => {
          lines.push(line);
          told.resolve();
        },
      });
    const first = watch();
    await told.promise;
    open[0]?.write(":2}\n");
    open[0]?.end();
    await first;
    assert.deepEqual(lines, ['{"a":1}', '{"b":2}']);
    told = Promise.withResolvers();
    const second = watch();
    await told.promise;
    clock.advance(1000);
    await assert.rejects(second, { reason: "Silent" });
  });

  it("an API server that is not there is no answer", async () => {
    const { client } = await connect((request) => request.socket.destroy());
    await assert.rejects(client.request({ method: "GET", path: "/a" }), { status: 0, message: /^no answer: \w+/ });
  });
});
