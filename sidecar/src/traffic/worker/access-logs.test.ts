import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import type { AccessLogConfig } from "@heddle/traffic";
import { MemoryConnection } from "../http/testing-connection.ts";
import { MemoryLog, MemoryMetrics } from "../http/testing-telemetry.ts";
import { AccessLogs } from "./access-logs.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-logs-"));
after(() => rmSync(folder, { recursive: true }));

function config(path: string, more: Partial<AccessLogConfig> = {}): AccessLogConfig {
  const format = {
    type: "text" as const,
    text: "%DOWNSTREAM_REMOTE_PORT% %ENVIRONMENT(ZONE)%\n",
    omitEmptyValues: false,
  };
  return { name: "log", filter: undefined, sink: { type: "file", path }, format, ...more };
}

function make() {
  const clock = new ManualClock();
  const metrics = new MemoryMetrics();
  const problems: string[] = [];
  const format = {
    hostname: "h",
    variable: (name: string) => (name === "ZONE" ? "eu" : undefined),
    wallNow: () => 0,
    uuid: () => "",
  };
  const env = { clock, metrics, log: new MemoryLog(problems), format, random: () => 0, flush: { afterMs: 10, at: 1 } };
  return { logs: new AccessLogs(env), clock, metrics, problems };
}

/** A connection from that port that has ended. */
function connection(remotePort: number, responseFlags = 0) {
  const { remoteAddress, localAddress, localPort, id } = new MemoryConnection();
  return {
    downstream: {
      directRemoteAddress: remoteAddress,
      remoteAddress,
      remotePort,
      localAddress,
      localPort,
      connectionId: id,
      listener: "l",
      filterChain: "",
    },
    startWallMs: 0,
    durationMs: 1,
    bytesReceived: 1,
    bytesSent: 1,
    responseFlags,
    details: "",
    upstream: undefined,
  };
}

/** How many descriptors of this process lead to that file. */
function open(path: string): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // the one that reads the folder
    }
  }).length;
}

async function until(met: () => boolean): Promise<void> {
  const deadline = systemClock.now() + 30_000;
  while (!met()) {
    assert.ok(systemClock.now() < deadline, `it never became true: ${met}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("loggers of one file share a descriptor, which is closed with the last of them", async () => {
  const { logs, metrics } = make();
  const path = join(folder, "shared");
  const first = logs.connectionLogger([config(path)]);
  const second = logs.connectionLogger([config(path), config(join(folder, "other"))]);
  assert.equal(open(path), 1);
  first.log(connection(1));
  second.log(connection(2));
  await until(() => metrics.values.get("filesystem.write_completed") === 3);
  assert.equal(readFileSync(path, "utf8"), "1 eu\n2 eu\n");
  first.close?.();
  first.close?.();
  assert.equal(open(path), 1, "the second still writes");
  second.log(connection(3));
  await until(() => metrics.values.get("filesystem.write_completed") === 5);
  second.log(connection(4));
  second.close?.();
  await until(() => open(path) === 0);
  assert.equal(readFileSync(path, "utf8"), "1 eu\n2 eu\n3 eu\n4 eu\n");
});

test("a filter decides about each line of its own log", async () => {
  const { logs, metrics } = make();
  const [all, some] = [join(folder, "all"), join(folder, "some")];
  const filter = { type: "response-flag", flags: [] } as const;
  const logger = logs.connectionLogger([config(all), config(some, { filter })]);
  logger.log(connection(1));
  logger.log(connection(2, 1));
  await until(() => metrics.values.get("filesystem.write_completed") === 3);
  assert.equal(readFileSync(all, "utf8"), "1 eu\n2 eu\n");
  assert.equal(readFileSync(some, "utf8"), "2 eu\n");
  logs.close();
});

test("all files are opened anew", async () => {
  const { logs, metrics } = make();
  const path = join(folder, "moved");
  const logger = logs.connectionLogger([
    config(path),
    config("", { sink: { type: "stdout" }, filter: { type: "traceable" } }),
  ]);
  renameSync(path, `${path}.1`);
  logs.reopen();
  logger.log(connection(4));
  await until(() => metrics.values.get("filesystem.write_completed") === 1);
  assert.deepEqual([readFileSync(path, "utf8"), readFileSync(`${path}.1`, "utf8")], ["4 eu\n", ""]);
  logs.close();
});

test("where one of several logs cannot be opened, none is left open", async () => {
  const { logs } = make();
  const path = join(folder, "good");
  assert.throws(() => logs.connectionLogger([config(path), config(join(folder, "no", "such"))]), /access log .*ENOENT/);
  await until(() => open(path) === 0);
});
