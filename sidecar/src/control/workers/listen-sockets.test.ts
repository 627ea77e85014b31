import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { err, ok } from "@heddle/base";
import type { SocketAddress, SocketOpener } from "@heddle/net";
import type { ListenerConfig } from "@heddle/traffic";
import { ListenSockets } from "./listen-sockets.ts";

/** What the opener did, "open 80" and "close 80"; ports of `taken` cannot be had. */
let did: string[];
let taken: Set<number>;

const opener: SocketOpener = {
  sharing: "one-queue",
  async open(address: SocketAddress) {
    const port = address.type === "socket" ? address.port : 0;
    if (taken.has(port)) return err(`port ${port} is taken`);
    did.push(`open ${port}`);
    return ok({ address, newTarget: () => undefined, close: () => did.push(`close ${port}`) });
  },
};

function listener(name: string, ...ports: number[]): ListenerConfig {
  const [address, ...additionalAddresses] = ports.map((port) => ({ type: "socket" as const, address: "::", port }));
  return { name, address, additionalAddresses } as unknown as ListenerConfig; // a socket needs no more of it
}

beforeEach(() => {
  did = [];
  taken = new Set();
});

describe("listening sockets", () => {
  test("are opened once and closed when nobody wants them", async () => {
    const sockets = new ListenSockets(opener);
    const first = await sockets.step([listener("a", 80, 81)], []);
    assert.deepEqual(first.opened, ["[::]:80", "[::]:81"]);
    const second = await sockets.step([listener("a", 81, 82)], []);
    assert.deepEqual([second.opened, second.closed], [["[::]:82"], ["[::]:80"]]);
    const third = await sockets.step([], ["a"]);
    assert.deepEqual(third.closed, ["[::]:81", "[::]:82"]);
    assert.deepEqual(did, ["open 80", "open 81", "open 82", "close 80", "close 81", "close 82"]);
  });

  test("go to another listener, or back and forth between two, without being closed", async () => {
    const sockets = new ListenSockets(opener);
    await sockets.step([listener("a", 80), listener("b", 81)], []);
    const swapped = await sockets.step([listener("a", 81), listener("b", 80)], []);
    assert.deepEqual([swapped.opened, swapped.closed, swapped.refused.size], [[], [], 0]);
    await sockets.step([listener("c", 80)], ["b"]);
    assert.deepEqual(did, ["open 80", "open 81"]);
    assert.deepEqual(sockets.addresses.map(({ name }) => name).sort(), ["a", "c"]);
  });

  test("a listener gets all of its addresses or keeps what it had", async () => {
    const sockets = new ListenSockets(opener);
    await sockets.step([listener("a", 80)], []);
    taken.add(83);
    const { refused, opened } = await sockets.step([listener("a", 82, 83)], []);
    assert.deepEqual([...refused], [["a", "port 83 is taken"]]);
    assert.deepEqual(opened, []);
    assert.deepEqual(did, ["open 80", "open 82", "close 82"]);
    assert.deepEqual(sockets.places, ["[::]:80"]);
  });

  test("an address that another listener has is refused with its name", async () => {
    const sockets = new ListenSockets(opener);
    await sockets.step([listener("a", 80)], []);
    const { refused } = await sockets.step([listener("b", 80)], []);
    assert.deepEqual([...refused], [["b", 'cannot listen on [::]:80: listener "a" does']]);
    assert.deepEqual(did, ["open 80"]);
  });

  test("port 0 is a place of its own for each listener", async () => {
    const sockets = new ListenSockets(opener);
    const { opened } = await sockets.step([listener("a", 0), listener("b", 0)], []);
    assert.deepEqual(opened, ["a 0", "b 0"]);
    sockets.close();
    assert.deepEqual(did, ["open 0", "open 0", "close 0", "close 0"]);
  });

  test("a listener without a port has its address and no socket", async () => {
    const sockets = new ListenSockets(opener);
    const unbound = (name: string, ...ports: number[]): ListenerConfig => ({
      ...listener(name, ...ports),
      bindToPort: false,
    });
    assert.deepEqual((await sockets.step([unbound("a", 80)], [])).opened, []);
    assert.deepEqual([sockets.places, did], [[], []]);
    assert.deepEqual(sockets.addresses, [{ name: "a", address: { type: "socket", address: "::", port: 80 } }]);
    // Whose connections those are must not be chance.
    const clash = await sockets.step([listener("b", 80)], []);
    assert.deepEqual([...clash.refused], [["b", 'cannot listen on [::]:80: listener "a" does']]);
    const other = { ...unbound("b"), address: { type: "socket" as const, address: "0:0::0", port: 80 } };
    assert.equal((await sockets.step([other], [])).refused.size, 1, "however an address is written");

    const bound = await sockets.step([listener("a", 80)], []);
    assert.deepEqual([bound.opened, sockets.places, did], [["[::]:80"], ["[::]:80"], ["open 80"]]);
    const again = await sockets.step([unbound("a", 80)], []);
    assert.deepEqual([again.closed, sockets.places, did], [["[::]:80"], [], ["open 80", "close 80"]]);
    taken.add(80);
    const { refused } = await sockets.step([listener("a", 80)], []);
    assert.equal(refused.size, 1);
    assert.deepEqual([sockets.addresses.length, sockets.places], [1, []]);
    const gone = await sockets.step([], ["a"]);
    assert.deepEqual([gone.closed, sockets.addresses], [[], []]);
  });

  test("an open socket is brought in line with options that change", async () => {
    const asked: unknown[] = [];
    const sockets = new ListenSockets({
      sharing: "one-queue",
      open: async (address: SocketAddress) =>
        ok({
          address,
          newTarget: () => undefined,
          close: () => undefined,
          configure: ({ transparent }: { transparent?: boolean }) => {
            asked.push(transparent);
            return transparent === true ? err("IP_TRANSPARENT: EPERM") : ok(undefined);
          },
        }),
    });
    await sockets.step([listener("a", 80)], []);
    const { refused } = await sockets.step([{ ...listener("a", 80), transparent: true }], []);
    assert.deepEqual([...refused], [["a", "cannot listen on [::]:80: IP_TRANSPARENT: EPERM"]]);
    await sockets.step([listener("a", 80)], []);
    assert.deepEqual([asked, sockets.places], [[true, false], ["[::]:80"]]);
  });
});
