import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WorkerCells } from "../../traffic/worker/worker-cells.ts";
import { SharedCells } from "./shared-cells.ts";

/** What a worker does to one of its cells. */
function hold(cells: WorkerCells, key: string, by: number): void {
  const { sum, own } = cells.get(key);
  Atomics.add(sum, 0, by);
  own[0]! += by;
}

test("workers add to one sum, and a dead one's part is taken off", () => {
  const shared = new SharedCells();
  shared.ensure(["a", "b"], 4);
  const one = new WorkerCells(shared.tableFor(1));
  const two = new WorkerCells(shared.tableFor(2));
  hold(one, "a", 3);
  hold(two, "a", 2);
  hold(one, "b", 1);
  assert.deepEqual(shared.sums("a"), [5, 0, 0, 0]);
  shared.removeWorker(1);
  assert.deepEqual(shared.sums("a"), [2, 0, 0, 0]);
  assert.deepEqual(shared.sums("b"), [0, 0, 0, 0]);
});

test("a name that comes later reaches the workers that run, in blocks that they get once", () => {
  const shared = new SharedCells();
  const worker = new WorkerCells(shared.tableFor(1));
  for (let i = 0; i < 600; i++) {
    const table = shared.tableFor(1, shared.ensure([`cluster/${i}`], 4));
    assert.ok(table.blocks.length <= 1);
    worker.add(table);
    hold(worker, `cluster/${i}`, 1);
  }
  for (let i = 0; i < 600; i++) assert.deepEqual(shared.sums(`cluster/${i}`), [1, 0, 0, 0]);
  assert.deepEqual(shared.ensure(["cluster/7"], 4), []);
});

test("cells of a name that is gone are given away only when their counts are back at zero", () => {
  const shared = new SharedCells();
  const [old, idle] = shared.ensure(["old", "idle"], 1);
  const worker = new WorkerCells(shared.tableFor(1));
  hold(worker, "old", 1); // still draining
  shared.release("old");
  shared.release("idle");
  const [next, later] = shared.ensure(["next", "later"], 1);
  assert.equal(next?.offset, idle?.offset);
  assert.notEqual(later?.offset, old?.offset);
  hold(worker, "old", -1);
  shared.release("later");
  const offsets = shared.ensure(["x", "y"], 1).map(({ offset }) => offset);
  assert.deepEqual(offsets.sort(), [old?.offset, later?.offset].sort());
});

test("a worker may read where a thousand cells lie in slices, and reads the rest when it is asked for one", () => {
  const shared = new SharedCells();
  const worker = new WorkerCells(shared.tableFor(1));
  const names = Array.from({ length: 1000 }, (_, index) => `cluster/${index}`);
  worker.add(shared.tableFor(1, shared.ensure(names, 4)));
  const reading = worker.read();
  assert.equal(reading.next().done, false);
  for (const [index, name] of names.entries()) hold(worker, name, index);
  for (const [index, name] of names.entries()) assert.deepEqual(shared.sums(name), [index, 0, 0, 0]);
  assert.equal(reading.next().done, true);
});

test("a name that comes again is where it was said to be last", () => {
  const shared = new SharedCells();
  const worker = new WorkerCells(shared.tableFor(1));
  worker.add(shared.tableFor(1, shared.ensure(["a"], 1)));
  hold(worker, "a", 1); // still draining
  shared.release("a");
  worker.add(shared.tableFor(1, shared.ensure(["a"], 1)));
  hold(worker, "a", 2);
  assert.deepEqual(shared.sums("a"), [2]);
});

test("asking for cells that nobody has made is a mistake of ours", () => {
  const worker = new WorkerCells(new SharedCells().tableFor(1));
  assert.throws(() => worker.get("a"), /no cells for a/);
});

test("whatever comes and goes, sums are what living workers hold, and no two names share a cell", () => {
  const step = fc.record({
    worker: fc.integer({ min: 1, max: 3 }),
    key: fc.constantFrom("a", "b", "c", "d"),
    what: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const shared = new SharedCells();
      const workers = new Map<number, WorkerCells>();
      const held = new Map<string, number>(); // "worker key"
      let keys = new Set<string>();
      for (const { worker, key, what } of steps) {
        if (what === 0) {
          shared.removeWorker(worker);
          workers.delete(worker);
          for (const name of held.keys()) if (name.startsWith(`${worker} `)) held.delete(name);
        } else if (what === 1) {
          const free = [...held].every(([name, count]) => !name.endsWith(` ${key}`) || count === 0);
          if (!free) continue;
          shared.release(key);
          keys = new Set([...keys].filter((other) => other !== key));
        } else {
          const made = shared.ensure([key], 2);
          keys.add(key);
          for (const [id, cells] of workers) cells.add(shared.tableFor(id, made));
          if (!workers.has(worker)) workers.set(worker, new WorkerCells(shared.tableFor(worker)));
          hold(workers.get(worker)!, key, 1);
          held.set(`${worker} ${key}`, (held.get(`${worker} ${key}`) ?? 0) + 1);
        }
        for (const name of keys) {
          const expected = [...held].reduce((sum, [at, count]) => (at.endsWith(` ${name}`) ? sum + count : sum), 0);
          assert.deepEqual(shared.sums(name), [expected, 0]);
        }
      }
    }),
    { seed: 11, numRuns: 200 },
  );
});
