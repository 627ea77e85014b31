import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { createLog } from "./create-log.ts";
import { LogLevels } from "./log-levels.ts";

test("a log heeds the level of its logger at each line, so it may change meanwhile", () => {
  const levels = new LogLevels("warn");
  const lines: string[] = [];
  const log = createLog({
    level: levels,
    format: "text",
    clock: new ManualClock(),
    write: (line) => lines.push(line.trim().split(" ").slice(1, 3).join(" ")),
  });
  const xds = log.with({ part: "xds" }).with({ stream: 1 });
  log.info("a");
  xds.info("b");
  levels.set("xds", "debug");
  log.info("c");
  xds.debug("d");
  assert.equal(xds.enabled("debug"), true);
  levels.setAll("info");
  log.info("e");
  xds.debug("f");
  assert.deepEqual(lines, ["debug d", "info e"]);
  assert.equal(levels.levelOf("xds"), "info");
});

test("a log that is made under a name has that logger's level", () => {
  const levels = new LogLevels("info");
  const written: string[] = [];
  const log = createLog({
    level: levels,
    name: "traffic",
    format: "json",
    clock: new ManualClock(),
    write: (line) => written.push(line),
  });
  levels.set("traffic", "error");
  log.warn("no");
  log.with({ worker: 1 }).error("yes");
  assert.equal(written.length, 1);
});
