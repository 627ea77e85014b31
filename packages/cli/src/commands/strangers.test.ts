import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { adminUrl } from "../admin-url.ts";
import { UsageError } from "../command.ts";
import { apiClient } from "../resources/api-options.ts";
import { readStatus } from "../status.ts";
import { ca } from "./ca.ts";

/* Who is asked may be anybody: the wrong port is named more often than the right one. */

let answer = { status: 200, body: "" };
const server = createServer((_, response) => response.writeHead(answer.status).end(answer.body));
let url = "";

beforeEach(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test("what is no resource API, or no admin, is said to be none, with what it answered and how to name the right one", async (t) => {
  for (answer of [
    { status: 200, body: "<html>" },
    { status: 200, body: '{"shop":"heddle example"}' },
    { status: 200, body: "null" },
    { status: 404, body: "not found" },
    { status: 503, body: '{"error":{"code":3}}' },
  ]) {
    const client = apiClient({ server: url }, {});
    const none = { type: "unreachable", message: `what answers at ${url} (${answer.status}) is no resource API; name it with --server or HEDDLE_API` }; // biome-ignore format: a table
    const listed = await client.list({}, false);
    assert.deepEqual(!listed.ok && listed.error, none);
    const applied = await client.apply({ manifests: [] });
    assert.deepEqual(!applied.ok && applied.error, none);
    assert.deepEqual(await client.watch({}, undefined, () => assert.fail("no event")), none);
    const status = await readStatus(url);
    assert.match(
      status.ok ? "" : status.error,
      /^what answers at .* \(\d+\) is no control plane's admin; name it with --/,
    );
    const said = t.mock.method(console, "error", () => undefined);
    if (answer.status === 200) assert.equal(await ca.run(["bundle", "--admin", url]), 2, "it is written to no file");
    said.mock.restore();
  }
});

test("where nobody answers the reason is told", async () => {
  server.close();
  const status = await readStatus(url);
  assert.match(status.ok ? "" : status.error, /^no control plane answers at .* \(ECONNREFUSED\); name it with /);
  server.listen(0);
});

test("the admin's address is checked before it is asked", () => {
  assert.equal(adminUrl({}, {}), "http://127.0.0.1:15014");
  assert.equal(adminUrl({ "admin-port": "1500" }, {}), "http://127.0.0.1:1500");
  assert.equal(adminUrl({ admin: "http://[::1]:15014/" }, {}), "http://[::1]:15014");
  for (const [values, why] of [
    [{ "admin-port": "x" }, /--admin-port: found "x", allowed: 1 to 65535/],
    [{ "admin-port": "70000" }, /found "70000"/],
    [{ admin: "localhost:15014" }, /--admin: found "localhost:15014", allowed: http:\/\/HOST:PORT/],
  ] as const)
    assert.throws(
      () => adminUrl(values, {}),
      (error) => error instanceof UsageError && why.test(error.message),
    );
});
