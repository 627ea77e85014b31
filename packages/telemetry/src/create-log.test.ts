import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { createLog, parseLogLevel } from "./create-log.ts";
import type { Log, LogLevel } from "./log.ts";

function capture(format: "json" | "text", level: LogLevel = "info"): { log: Log; lines: string[] } {
  const lines: string[] = [];
  return { log: createLog({ level, format, clock: new ManualClock(), write: (line) => lines.push(line) }), lines };
}

test("a JSON line carries time, level, message and all fields", () => {
  const { log, lines } = capture("json");
  log.with({ node: "a" }).warn("update refused", { type: "Cluster", count: 2 });
  assert.deepEqual(lines, [
    '{"time":"2026-01-01T00:00:00.000Z","level":"warn","message":"update refused","node":"a","type":"Cluster","count":2}\n',
  ]);
});

test("a text line is for people and grep", () => {
  const { log, lines } = capture("text");
  log.info("listening", { address: "127.0.0.1:80", why: "two words", empty: "" });
  assert.deepEqual(lines, ['2026-01-01T00:00:00.000Z info listening address=127.0.0.1:80 why="two words" empty=""\n']);
});

test("what is below the level is not written", () => {
  const { log, lines } = capture("text", "warn");
  log.info("a");
  log.debug("b");
  log.error("c");
  assert.equal(lines.length, 1);
  assert.equal(log.enabled("info"), false);
  assert.equal(log.enabled("error"), true);
  const silent = capture("text", "off");
  silent.log.error("x");
  assert.equal(silent.lines.length, 0);
});

test("a line stays one line, whatever it is given", () => {
  for (const format of ["json", "text"] as const) {
    const { log, lines } = capture(format);
    const circle: { self?: unknown } = {};
    circle.self = circle;
    log.error("bad\nmessage\u001b[31m", { path: "/a\r\n2026 error forged", circle, big: 1n, error: new Error("why") });
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.split("\n").length, 2);
    assert.ok(!lines[0]?.includes("\u001b") && !lines[0]?.includes("\r"));
    assert.match(lines[0] ?? "", /why/);
  }
});

test("nothing in a line steers a terminal, also where it is quoted, and a JSON line stays JSON", () => {
  const hostile = "a b\u009b2J\u007f\u2028\u001b[31m";
  for (const format of ["json", "text"] as const) {
    const { log, lines } = capture(format);
    log.info(hostile, { [hostile]: hostile, list: [hostile], error: new Error(hostile) });
    assert.doesNotMatch(lines[0]?.slice(0, -1) ?? "\n", /[\p{Cc}\u2028\u2029]/u);
    if (format === "json") assert.equal(JSON.parse(lines[0] ?? "").message, hostile);
  }
});

test("a field cannot replace the line's own", () => {
  const { log, lines } = capture("json");
  log.info("message", { level: "error" });
  assert.match(lines[0] ?? "", /"level":"info".*"field.level":"error"/);
});

test("levels are read as people and Envoy write them", () => {
  assert.equal(parseLogLevel("INFO"), "info");
  assert.equal(parseLogLevel("warning"), "warn");
  assert.equal(parseLogLevel("critical"), "error");
  assert.equal(parseLogLevel("loud"), undefined);
});
