import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_CEILING } from "../../traffic/overload/vitals.ts";
import { acceptCeiling } from "./accept-ceiling.ts";

test("half of the descriptors that are left, less a reserve, are for new connections, the other half for their upstreams", () => {
  assert.equal(acceptCeiling({ limit: 256, used: 56, connections: 0 }), 84);
  assert.equal(acceptCeiling({ limit: 256, used: 140, connections: 84 }), 126);
});

test("idle connections may fill all but the reserve, and nothing more", () => {
  let connections = 0;
  for (let look = 0; look < 20; look++)
    connections = acceptCeiling({ limit: 256, used: 56 + connections, connections });
  assert.equal(connections, 256 - 56 - 32 - 1);
});

test("where descriptors are short no further connection is accepted", () => {
  assert.equal(acceptCeiling({ limit: 256, used: 250, connections: 90 }), 90);
  assert.equal(acceptCeiling({ limit: 256, used: 256, connections: 90 }), 90);
});

test("where nobody knows how many there are there is no ceiling", () => {
  assert.equal(acceptCeiling({ limit: undefined, used: 10, connections: 1 }), NO_CEILING);
  assert.equal(acceptCeiling({ limit: 256, used: undefined, connections: 1 }), NO_CEILING);
});
