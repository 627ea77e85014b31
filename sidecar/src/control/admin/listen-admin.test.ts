import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Log } from "@heddle/telemetry";
import { AdminServer } from "@heddle/telemetry/admin";
import { isOpenToOthers, listenAdmin } from "./listen-admin.ts";

function admin(t: TestContext): AdminServer {
  const server = new AdminServer(
    [{ path: "/hello", method: "GET", help: "", answer: () => ({ body: "hello" }) }],
    {} as Log,
  );
  t.after(() => server.close());
  return server;
}

function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-admin-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "admin.sock");
}

function ask(socketPathOrName: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socketPathOrName, path: "/hello", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.once("error", reject);
    call.end();
  });
}

test("a Unix socket has the mode that the bootstrap says", async (t) => {
  const path = socketPath(t);
  const address = { type: "pipe", path, mode: 0o600 } as const;
  assert.deepEqual(await listenAdmin(admin(t), address), { ok: true, value: address });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(await ask(path), 200);
});

test("a socket that a dead process left behind is replaced; one that somebody serves, or a file, is not", async (t) => {
  const path = socketPath(t);
  const address = { type: "pipe", path, mode: undefined } as const;
  const leave = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", leave, path]);
  assert.ok(statSync(path).isSocket());
  assert.equal((await listenAdmin(admin(t), address)).ok, true);
  assert.equal(await ask(path), 200);
  const second = await listenAdmin(admin(t), address);
  assert.match(second.ok ? "" : second.error, /the address is taken/);
  assert.equal(await ask(path), 200);

  const file = socketPath(t);
  writeFileSync(file, "mine");
  const third = await listenAdmin(admin(t), { ...address, path: file });
  assert.equal(third.ok, false);
  assert.ok(statSync(file).isFile());
});

test("a name with an at sign is a socket without a file", async (t) => {
  const name = `heddle-admin-test-${process.pid}`;
  const address = { type: "pipe", path: `@${name}`, mode: undefined } as const;
  assert.equal((await listenAdmin(admin(t), address)).ok, true);
  assert.equal(await ask(`\0${name}`), 200);
});

test("X11: loopback and Unix sockets are this machine's alone; every other address is open to others", () => {
  for (const address of ["127.0.0.1", "127.1.2.3", "::1"])
    assert.equal(isOpenToOthers({ type: "socket", address, port: 0 }), false, address);
  assert.equal(isOpenToOthers({ type: "pipe", path: "/run/admin.sock", mode: undefined }), false);
  for (const address of ["0.0.0.0", "::", "10.0.0.1", "admin.example"])
    assert.equal(isOpenToOthers({ type: "socket", address, port: 0 }), true, address);
});
