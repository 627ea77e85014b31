import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { parseYamlDocuments } from "@heddle/config";
import { ApiFixture, cluster, diagnosticLines, valueOfResult } from "./testing.ts";
import { YamlThread } from "./yaml-thread.ts";

const HONEST = `${cluster("a", 1, 'metadata: { filter_metadata: { "x.y": { base: &b [1, { c: 2 }], use: *b } } }\n')}---\n- z\n`;
/** Seconds of work: every key is compared with every other one. */
const HOSTILE = Array.from({ length: 150_000 }, (_, index) => `k${index}: 1\n`).join("");

test("what the thread reads is what would have been read here, with every place", async (t) => {
  const { thread } = open(t);
  const [good, bad] = valueOfResult(
    await thread.read([
      { source: "a.yaml", text: HONEST },
      { source: "b.yaml", text: "a: [\n" },
    ]),
  );
  const here = valueOfResult(parseYamlDocuments("a.yaml", HONEST));
  const there = valueOfResult(good!);
  assert.deepEqual(
    there.map(({ file, json }) => [file, json]),
    here.map(({ file, json }) => [file, json]),
  );
  for (const path of ["", "name", "connectTimeout", 'metadata.filter_metadata["x.y"].use[1].c', "metadata.none", "[0]"])
    assert.deepEqual(
      there.map((document) => document.positionOf(path)),
      here.map((document) => document.positionOf(path)),
      path,
    );
  assert.deepEqual(bad, parseYamlDocuments("b.yaml", "a: [\n"));
});

test("a text that takes too long is refused by the limit's name, and the next one is read", async (t) => {
  const { thread, clock } = open(t);
  const hostile = thread.read([{ source: "a.yaml", text: HOSTILE }]);
  const waiting = thread.read([{ source: "b.yaml", text: "b: 1\n" }]);
  clock.advance(10_000);
  const refused = await hostile;
  assert.ok(!refused.ok);
  assert.deepEqual(
    [refused.error.code, /10 s that are allowed/.test(refused.error.message)],
    ["INVALID_ARGUMENT", true],
  );
  assert.equal(valueOfResult(valueOfResult(await waiting)[0]!)[0]?.positionOf("b").line, 1);
  clock.advance(10_000); // it is idle, and ends
  assert.equal(clock.pending, 0);
  assert.ok((await thread.read([{ source: "b.yaml", text: "b: 1\n" }])).ok);
});

test("so many wait and no more, and whoever waits when it closes is told", async (t) => {
  const { thread } = open(t);
  const all = Array.from({ length: 17 }, () => thread.read([{ source: "a.yaml", text: "a: 1\n" }]));
  thread.close();
  const codes = (await Promise.all([...all, thread.read([])])).map((one) => (one.ok ? "" : one.error.code));
  assert.deepEqual(codes, [...Array.from({ length: 16 }, () => "UNAVAILABLE"), "RESOURCE_EXHAUSTED", "UNAVAILABLE"]);
});

test("a long text is applied as a short one is, and its faults have their places", async (t) => {
  const api = await new ApiFixture().start();
  t.after(() => api.service.close());
  const comment = `# ${"x".repeat(20_000)}\n`;
  assert.deepEqual(await api.applied(comment + cluster("a")), ["created Cluster a 1"]);
  const wrong = await api.refused(comment + cluster("a", 1, "lb_polcy: X\n"));
  assert.match(diagnosticLines(wrong)[0] ?? "", /^error test\.yaml:6:1 \(0\): lb_polcy: is no field/);
});

function open(t: TestContext) {
  const clock = new ManualClock();
  const thread = new YamlThread(clock);
  t.after(() => thread.close());
  return { thread, clock };
}
