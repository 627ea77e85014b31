import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, get } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import {
  cluster,
  inlineRoutes,
  listener,
  staticBootstrap,
  textAccessLog,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

/* A disk that fills up: a tmpfs of 1 MiB in a mount namespace of the sidecar's own. Needs root. */

function status(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", path }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    }).on("error", reject);
  });
}

const needsRoot = { skip: process.getuid?.() === 0 ? false : "needs root, for a mount namespace" };

test(
  "a full disk costs lines of the access log, which are counted, and the log goes on when there is room",
  needsRoot,
  async (t) => {
    const owner = lastFirst(t);
    const folder = scratchFolder(owner);
    const logs = scratchFolder(owner);
    const upstream = createServer((_request, response) => response.end("ok"));
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    owner.after(() => {
      upstream.closeAllConnections();
      upstream.close();
    });
    const log = join(logs, "access.log");
    const http = { access_log: [textAccessLog(log)] };
    const routes = inlineRoutes([virtualHost("*", "app")]);
    const { port: upstreamPort } = upstream.address() as { port: number };
    const script = 'mount -t tmpfs -o size=1m tmpfs "$0" && head -c 900k /dev/zero > "$0/filler" && exec "$@"';
    const sidecar = await startSidecar(
      staticBootstrap([listener({ name: "in", routes, http })], [cluster("app", [upstreamPort])]),
      owner,
      {
        folder,
        wrap: ["unshare", "-m", "sh", "-c", script, logs],
        flags: ["--file-flush-interval-msec", "20"],
        expectedErrors: /an access log cannot be written .*ENOSPC/,
      },
    );
    const port = await sidecar.port("in");
    const inside = (...command: string[]): string =>
      execFileSync("nsenter", ["-t", String(sidecar.pid), "-m", ...command]).toString();

    const long = `/${"x".repeat(2000)}`;
    for (let i = 0; i < 100; i++) assert.equal(await status(port, long), 200);
    await eventually("lines are dropped, and counted", async () => {
      assert.equal(await status(port, long), 200);
      return (await sidecar.page("/stats"))
        .split("\n")
        .some((line) => /dropped.*: [1-9]|write_failed: [1-9]/.test(line));
    });
    assert.match(sidecar.log, /an access log cannot be written .*ENOSPC/);

    inside("rm", join(logs, "filler"));
    await eventually("the log goes on, with whole lines", async () => {
      assert.equal(await status(port, "/after"), 200);
      return /^\[[^\n]*"GET \/after HTTP\/1\.1" 200 /m.test(inside("cat", log));
    });
    assert.equal(await sidecar.stat("workers.died"), 0);
  },
);
