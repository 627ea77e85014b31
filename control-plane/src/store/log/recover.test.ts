import assert from "node:assert/strict";
import { test } from "node:test";
import { EntryTable } from "../entry-table.ts";
import type { StoreChange } from "../store.ts";
import { contents, put, remove } from "../store-contract.ts";
import { encodeBatches } from "./batches.ts";
import { encodeFrame } from "./frame.ts";
import { encodeLogHead, fileName, recover } from "./recover.ts";
import { encodeSnapshot } from "./snapshot.ts";

/* Files as a store has written them, and then cut, flipped and mixed. Every state that a store was ever in is in `states`. */

/** Of frames: the batches that one fsync made durable. */
const FRAMES: readonly (readonly (readonly StoreChange[])[])[] = [
  [[put("a", "one"), put("b", "two")]],
  [[put("a", "three")], [remove("b")], [put("c", "\0".repeat(40))]],
  [[put("d", "x".repeat(300))]],
  [[remove("a"), remove("c")], [put("zero", "")]],
];

interface History {
  readonly files: ReadonlyMap<string, Buffer>;
  /** Contents by revision. */
  readonly states: readonly Record<string, string>[];
  /** Where the frames of the log end, and the revision that was reached there. */
  readonly ends: readonly { readonly offset: number; readonly revision: number }[];
  readonly name: string;
}

/** One log with all frames; if a snapshot is asked for, one of the state after the first frame lies before it. */
function history(withSnapshot: boolean): History {
  const table = new EntryTable();
  const states = [contents(table)];
  const play = (batches: readonly (readonly StoreChange[])[]): void => {
    for (const batch of batches) {
      table.apply(table.revision + 1, batch);
      states.push(contents(table));
    }
  };
  const files = new Map<string, Buffer>();
  if (withSnapshot) {
    play(FRAMES[0]!);
    const pieces = [...encodeSnapshot(table.revision, [...table.entries.values()])];
    files.set(fileName("snapshot", table.revision), Buffer.concat(pieces));
  }
  const name = fileName("log", table.revision);
  let bytes: Uint8Array = encodeLogHead(table.revision);
  const ends = [{ offset: bytes.length, revision: table.revision }];
  for (const batches of withSnapshot ? FRAMES.slice(1) : FRAMES) {
    bytes = Buffer.concat([bytes, encodeFrame(table.revision + 1, encodeBatches(batches))]);
    play(batches);
    ends.push({ offset: bytes.length, revision: table.revision });
  }
  files.set(name, Buffer.from(bytes));
  return { files, states, ends, name };
}

for (const withSnapshot of [false, true]) {
  const what = withSnapshot ? "a log behind a snapshot" : "a log";
  const { files, states, ends, name } = history(withSnapshot);
  const whole = files.get(name)!;
  const having = (bytes: Buffer): Map<string, Buffer> => new Map(files).set(name, bytes);

  test(`${what}, cut at every offset, has exactly the batches whose frame is whole`, () => {
    for (let length = 0; length <= whole.length; length++) {
      const recovered = recover(having(whole.subarray(0, length)));
      assert.ok(recovered.ok, `cut at ${length}`);
      const reached = ends.findLast(({ offset }) => offset <= length) ?? { offset: 0, revision: ends[0]!.revision };
      assert.equal(recovered.value.table.revision, reached.revision, `cut at ${length}`);
      assert.deepEqual(contents(recovered.value.table), states[reached.revision]);
      assert.equal(recovered.value.log?.goodBytes, reached.offset);
    }
  });

  test(`${what} with zeros in place of its end has the batches before them`, () => {
    for (let length = ends[0]!.offset; length < whole.length; length++) {
      const bytes = Buffer.concat([whole.subarray(0, length), Buffer.alloc(1100)]);
      const recovered = recover(having(bytes));
      assert.ok(recovered.ok, `zeros from ${length}`);
      const reached = ends.findLast(({ offset }) => offset <= length)!;
      assert.deepEqual(contents(recovered.value.table), states[reached.revision], `zeros from ${length}`);
    }
  });

  test(`${what} with a byte changed at any offset is refused, with the place`, () => {
    for (let at = 0; at < whole.length; at++)
      for (const mask of [0x01, 0x80, 0xff]) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= mask;
        const recovered = recover(having(bytes));
        assert.ok(!recovered.ok, `byte ${at} changed`);
        const { damage, usable } = recovered.error;
        const before = ends.findLast(({ offset }) => offset <= at) ?? { offset: 0, revision: ends[0]!.revision };
        assert.deepEqual([damage.file, damage.offset], [name, before.offset]);
        assert.deepEqual(contents(usable), states[before.revision]);
      }
  });

  test(`${what} with a byte changed and its end cut off holds a state that it once had, or is refused`, () => {
    for (let at = ends[0]!.offset; at < whole.length; at += 7)
      for (let length = at + 1; length <= whole.length; length += 11) {
        const bytes = Buffer.from(whole.subarray(0, length));
        bytes[at]! ^= 0x20;
        const recovered = recover(having(bytes));
        const table = recovered.ok ? recovered.value.table : recovered.error.usable;
        assert.deepEqual(contents(table), states[table.revision]);
        assert.ok(table.revision >= ends.findLast(({ offset }) => offset <= at)!.revision);
      }
  });
}

test("a frame that was lost between two good ones is found out", () => {
  const { files, ends, name } = history(false);
  const whole = files.get(name)!;
  const without = Buffer.concat([whole.subarray(0, ends[1]!.offset), whole.subarray(ends[2]!.offset)]);
  const recovered = recover(new Map([[name, without]]));
  assert.ok(!recovered.ok);
  assert.deepEqual(recovered.error.damage, {
    file: name,
    offset: ends[1]!.offset,
    what: "found revision 5, expected 2",
  });
});

test("a frame that stands there twice is found out", () => {
  const { files, ends, name } = history(false);
  const whole = files.get(name)!;
  const twice = Buffer.concat([whole, whole.subarray(ends[3]!.offset)]);
  const recovered = recover(new Map([[name, twice]]));
  assert.ok(!recovered.ok);
  assert.equal(recovered.error.damage.offset, whole.length);
});

test("a snapshot that is cut or changed anywhere is not believed", () => {
  const { files } = history(true);
  const [name, whole] = [...files].find(([name]) => name.startsWith("snapshot"))!;
  const refused = (bytes: Buffer, what: string): void => {
    const recovered = recover(new Map(files).set(name, bytes));
    assert.ok(!recovered.ok, what);
    assert.equal(recovered.error.damage.file, name);
    assert.equal(recovered.error.usable.entries.size, 0);
  };
  for (let length = 0; length < whole.length; length++) refused(whole.subarray(0, length), `cut at ${length}`);
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0x04;
    refused(bytes, `byte ${at} changed`);
  }
  refused(Buffer.concat([whole, Buffer.from([0])]), "a byte behind the end");
});

test("a damaged snapshot costs nothing while the files before it are still there, and is told", () => {
  const { files: early } = history(false);
  const { files: late, states } = history(true);
  const [snapshot] = [...late.keys()];
  // The first log up to the snapshot, as it was when the next one began.
  const first = early.get(fileName("log", 0))!;
  const { ends } = history(false);
  const files = new Map(late).set(fileName("log", 0), first.subarray(0, ends[1]!.offset));
  files.set(snapshot!, Buffer.from("no snapshot"));
  const recovered = recover(files);
  assert.ok(recovered.ok);
  assert.deepEqual(contents(recovered.value.table), states.at(-1));
  assert.deepEqual(
    recovered.value.harmless.map(({ file }) => file),
    [snapshot],
  );
});

test("a folder that misses a file which another one needs is refused, never taken for an empty one", () => {
  const { files, name } = history(true);
  const snapshot = [...files.keys()].find((file) => file !== name)!;
  for (const missing of [snapshot, name]) {
    const left = new Map(files);
    left.delete(missing);
    const recovered = recover(left);
    assert.ok(!recovered.ok, `without ${missing}`);
    assert.match(recovered.error.damage.what, /missing/);
    assert.ok(recovered.error.highestRevision >= 1);
  }
});

test("an empty folder is a store that has never held anything", () => {
  const recovered = recover(new Map());
  assert.ok(recovered.ok);
  assert.equal(recovered.value.table.revision, 0);
  assert.equal(recovered.value.log, undefined);
});

test("only the last log may end in the middle of a write", () => {
  const { files, ends } = history(false);
  const first = files.get(fileName("log", 0))!.subarray(0, ends[2]!.offset - 3);
  const second = Buffer.concat([encodeLogHead(4), encodeFrame(5, encodeBatches(FRAMES[2]!))]);
  const recovered = recover(
    new Map([
      [fileName("log", 0), first],
      [fileName("log", 4), second],
    ]),
  );
  assert.ok(!recovered.ok);
  assert.equal(recovered.error.damage.offset, ends[1]!.offset);
});
