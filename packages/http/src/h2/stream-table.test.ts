import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { StreamTable } from "./stream-table.ts";

test("a stream table holds what a Map holds, whatever comes and goes", () => {
  const step = fc.record({ add: fc.boolean(), number: fc.nat(200) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new StreamTable<{ readonly id: number }>();
      const model = new Map<number, { readonly id: number }>();
      for (const { add, number } of steps) {
        const id = number * 2 + 1;
        if (!add) assert.equal(table.delete(id), model.delete(id));
        else if (!model.has(id)) {
          const stream = { id };
          table.add(stream);
          model.set(id, stream);
        }
        assert.equal(table.get(id), model.get(id));
        assert.equal(table.size, model.size);
      }
      for (let id = 1; id < 402; id += 2) assert.equal(table.get(id), model.get(id));
      const inOrder = [...model.values()].sort((a, b) => a.id - b.id);
      assert.deepEqual(table.list(), inOrder);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("streams that never end are found among thousands that come and go", () => {
  const table = new StreamTable<{ readonly id: number }>();
  const lasting = [1, 3, 33, 65].map((id) => ({ id }));
  for (const stream of lasting) table.add(stream);
  for (let id = 101; id < 20_000; id += 2) {
    table.add({ id });
    for (const stream of lasting) assert.equal(table.get(stream.id), stream);
    assert.equal(table.delete(id), true);
    assert.equal(table.get(id), undefined);
  }
  assert.equal(table.size, 4);
});

test("a table that a crowd has left takes streams as before", () => {
  const table = new StreamTable<{ readonly id: number }>();
  for (let id = 1; id < 2001; id += 2) table.add({ id });
  assert.equal(table.size, 1000);
  for (let id = 1; id < 2001; id += 2) assert.equal(table.delete(id), true);
  assert.deepEqual(table.list(), []);
  table.add({ id: 2001 });
  assert.equal(table.get(2001)?.id, 2001);
  table.clear();
  assert.equal(table.get(2001), undefined);
  assert.equal(table.delete(2001), false);
});
