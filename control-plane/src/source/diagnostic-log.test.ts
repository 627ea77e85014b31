import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Diagnostic } from "@heddle/config";
import { createLog } from "@heddle/telemetry";
import { DiagnosticLog } from "./diagnostic-log.ts";

const fault = (message: string): Diagnostic => ({
  severity: "error",
  file: "a.yaml",
  line: 1,
  column: 1,
  path: "",
  message,
});

function open() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "text", clock, write: (line) => lines.push(line) });
  const world = { faults: [] as readonly Diagnostic[], looks: 0 };
  const diagnostics = new DiagnosticLog(log, clock, () => {
    world.looks++;
    return world.faults;
  });
  return { clock, lines, world, diagnostics };
}

test("a fault is told once, a moment after the change, and once more when all are mended", () => {
  const { clock, lines, world, diagnostics } = open();
  world.faults = [fault("one")];
  diagnostics.changed();
  assert.equal(lines.length, 0);
  clock.advance(500);
  assert.match(lines.splice(0).join(), /^\S+ error .*one/);
  world.faults = [fault("one"), fault("two")];
  diagnostics.changed();
  clock.advance(500);
  assert.match(lines.splice(0).join(), /^\S+ error .*two\s*$/);
  world.faults = [];
  diagnostics.changed();
  clock.advance(500);
  assert.match(lines.splice(0).join(), /no faults any more/);
});

test("changes that follow each other are looked at once, and what is left at the end is told", () => {
  const { clock, lines, world, diagnostics } = open();
  for (let i = 0; i < 100; i++) diagnostics.changed();
  clock.advance(500);
  assert.equal(world.looks, 1);
  world.faults = [fault("last")];
  diagnostics.changed();
  diagnostics.close();
  assert.match(lines.join(), /last/);
  assert.equal(clock.pending, 0);
  diagnostics.close();
  assert.equal(world.looks, 2);
});
