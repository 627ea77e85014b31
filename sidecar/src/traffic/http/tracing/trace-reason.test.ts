import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fraction, SamplingConfig } from "@heddle/traffic";
import { allowsOverall, decideTrace, reasonOf, stableRandom, withReason } from "./trace-reason.ts";

const ID = "00000005-1111-4222-8333-444444444444"; // its first part is 5
const NOBODY = { client: false, service: false };

function percent(numerator: number): Fraction {
  return { numerator, denominator: 100 };
}

function sampling(client: number, random: number, overall = 100): SamplingConfig {
  return { client: percent(client), random: percent(random), overall: percent(overall) };
}

test("the reason stands in the id's version digit, and is read from there", () => {
  assert.equal(reasonOf(ID), "not-traceable");
  for (const [reason, digit] of [["sampled", "9"], ["service-forced", "a"], ["client-forced", "b"]] as const) {
    const id = withReason(ID, reason);
    assert.equal(id, `00000005-1111-${digit}222-8333-444444444444`);
    assert.equal(reasonOf(id), reason);
  } // biome-ignore format: a table
});

test("an id that is no UUID is left alone and says nothing", () => {
  assert.equal(withReason("abc", "sampled"), "abc");
  assert.equal(reasonOf("abc-abc-abc-abc9"), "not-traceable");
  assert.equal(stableRandom("abc"), undefined);
  assert.deepEqual(decideTrace("abc", sampling(100, 100), NOBODY, 0), {
    reason: "not-traceable",
    fresh: false,
  });
});

test("client, service and random sampling are asked in this order", () => {
  const both = { client: true, service: true };
  const reason = (config: SamplingConfig, forced: typeof both): string => decideTrace(ID, config, forced, 0).reason;
  assert.equal(reason(sampling(100, 100), both), "client-forced");
  assert.equal(reason(sampling(0, 100), both), "service-forced");
  assert.equal(reason(sampling(0, 100), { client: true, service: false }), "sampled");
  assert.equal(reason(sampling(100, 0), NOBODY), "not-traceable");
});

test("the id decides random sampling: the same everywhere", () => {
  assert.equal(decideTrace(ID, sampling(0, 5), NOBODY, 99).reason, "not-traceable");
  assert.equal(decideTrace(ID, sampling(0, 6), NOBODY, 99).reason, "sampled");
});

test("what the id says already stands, and is not written again", () => {
  const id = withReason(ID, "sampled");
  assert.deepEqual(decideTrace(id, sampling(0, 0), NOBODY, 0), { reason: "sampled", fresh: false });
});

test("overall sampling goes by the id as well", () => {
  assert.equal(allowsOverall(ID, sampling(0, 0, 5)), false);
  assert.equal(allowsOverall(ID, sampling(0, 0, 6)), true);
});
