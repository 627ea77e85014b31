import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { Ports } from "./ports.ts";

test("gives a free port that was wished, and another where it is taken, and says so", async (t) => {
  const holder = createServer();
  t.after(() => holder.close());
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  const taken = (holder.address() as { port: number }).port;
  const ports = new Ports({ ignoreWishes: false });
  const given = await ports.wish(taken, "the front");
  assert.notEqual(given, taken);
  assert.deepEqual(ports.taken, [{ wished: taken, given, what: "the front" }]);
});

test("gives no port twice", async () => {
  const ports = new Ports({ ignoreWishes: false });
  const first = await ports.any();
  assert.notEqual(await ports.wish(first, "again"), first);
  assert.notEqual(await ports.any(), first);
});
