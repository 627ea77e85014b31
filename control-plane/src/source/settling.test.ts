import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FileStamp, Settling } from "./settling.ts";

const NOTHING = { believe: [], gone: [], againInMs: undefined };

describe("settling", () => {
  it("believes everything at once at the start", () => {
    assert.deepEqual(new Settling(30, 250).look(files({ a: "1", b: "empty" }), 0, true).believe, ["a", "b"]);
  });

  it("believes a new or changed file when it has stayed the same for a while", () => {
    const settling = new Settling(30, 250);
    assert.deepEqual(settling.look(files({ a: "1" }), 0), { ...NOTHING, againInMs: 30 });
    assert.deepEqual(settling.look(files({ a: "1" }), 10), { ...NOTHING, againInMs: 20 });
    assert.deepEqual(settling.look(files({ a: "2" }), 20), { ...NOTHING, againInMs: 30 }); // still being written
    assert.deepEqual(settling.look(files({ a: "2" }), 50), { ...NOTHING, believe: ["a"] });
    assert.deepEqual(settling.look(files({ a: "2" }), 60), NOTHING);
  });

  it("does not miss the file that an editor moves away and writes anew", () => {
    const settling = settled({ a: "1" });
    assert.deepEqual(settling.look(files({}), 0), { ...NOTHING, againInMs: 250 });
    assert.deepEqual(settling.look(files({ a: "empty" }), 5), { ...NOTHING, againInMs: 250 });
    assert.deepEqual(settling.look(files({ a: "2" }), 10), { ...NOTHING, againInMs: 30 });
    assert.deepEqual(settling.look(files({ a: "2" }), 40), { ...NOTHING, believe: ["a"] });
  });

  it("drops a file that stays away, and takes one that stays empty", () => {
    const settling = settled({ a: "1", b: "1" });
    assert.equal(settling.look(files({ b: "empty" }), 0).againInMs, 250);
    assert.deepEqual(settling.look(files({ b: "empty" }), 249), { ...NOTHING, againInMs: 1 });
    assert.deepEqual(settling.look(files({ b: "empty" }), 250), { ...NOTHING, believe: ["b"], gone: ["a"] });
  });

  it("forgets a change that has been taken back", () => {
    const settling = settled({ a: "1" });
    settling.look(files({ a: "2" }), 0);
    assert.deepEqual(settling.look(files({ a: "1" }), 10), NOTHING);
  });

  it("reads a file again that changed while it was read", () => {
    const settling = settled({ a: "1" });
    settling.doubt("a");
    assert.deepEqual(settling.look(files({ a: "1" }), 0), { ...NOTHING, againInMs: 30 });
    assert.deepEqual(settling.look(files({ a: "1" }), 30), { ...NOTHING, believe: ["a"] });
  });
});

function settled(stamps: Readonly<Record<string, string>>): Settling {
  const settling = new Settling(30, 250);
  settling.look(files(stamps), 0, true);
  return settling;
}

function files(stamps: Readonly<Record<string, string>>): ReadonlyMap<string, FileStamp> {
  return new Map(Object.entries(stamps).map(([path, stamp]) => [path, { stamp, empty: stamp === "empty" }]));
}
