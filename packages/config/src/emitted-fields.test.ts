import assert from "node:assert/strict";
import { test } from "node:test";
import { HONOURED } from "@heddle/xds";
import { emittedFieldState, emittedFields, PLANNED_EXTENSIONS, PLANNED_FIELDS } from "./emitted-fields.ts";

test("every field that three or more of five control planes set is honoured, or its work is named", () => {
  const gaps = emittedFields().filter(([message, field]) => emittedFieldState(message, field).state === "unaccounted");
  assert.deepEqual(gaps, []);
  assert.equal(emittedFields().length, 187);
});

test("what is honoured by now is no longer planned", () => {
  const planned = Object.keys(PLANNED_FIELDS).filter((path) => {
    const dot = path.lastIndexOf(".");
    const [message, field] = [path.slice(0, dot), path.slice(dot + 1)];
    return HONOURED[`envoy.${path}`] !== undefined || emittedFieldState(message, field).state === "honoured";
  });
  assert.deepEqual(planned, []);
  assert.deepEqual(
    Object.keys(PLANNED_EXTENSIONS).filter((type) => HONOURED[`envoy.${type}`] !== undefined),
    [],
  );
});

test("what is planned is something that they set", () => {
  const set = new Set(emittedFields().flatMap(([message, field]) => [message, `${message}.${field}`]));
  assert.deepEqual(
    Object.keys(PLANNED_FIELDS).filter((path) => !set.has(path)),
    [],
  );
});
