import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Cidr, parseIp } from "@heddle/base";
import fc from "fast-check";
import { IpIndex } from "./ip-index.ts";

function range(text: string): Cidr {
  const cidr = Cidr.parse(text);
  assert.ok(cidr.ok, text);
  return cidr.value;
}

function index(...ranges: readonly string[]): IpIndex<string> {
  return new IpIndex(ranges.map((text) => ({ range: range(text), value: text })));
}

describe("an index of address ranges", () => {
  test("finds every range around an address, the narrowest first", () => {
    const ranges = index("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "::/0", "2001:db8::1");
    const find = (address: string): readonly string[] => ranges.find(parseIp(address)!);
    assert.deepEqual(find("10.1.2.3"), ["10.1.2.3", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]);
    assert.deepEqual(find("::ffff:10.9.9.9"), ["10.0.0.0/8", "0.0.0.0/0"]);
    assert.deepEqual(find("2001:db8::1"), ["2001:db8::1", "2001:db8::/32", "::/0"]);
    assert.deepEqual(find("fe80::1"), ["::/0"]);
  });

  test("keeps both kinds of addresses apart", () => {
    assert.equal(index("::/0").has(parseIp("10.0.0.1")!), false);
    assert.equal(index("0.0.0.0/0").has(parseIp("2001:db8::1")!), false);
  });

  test("says the same as asking every range", () => {
    const v4 = fc
      .tuple(fc.constantFrom(10, 11), fc.constantFrom(0, 1, 128), fc.nat(255), fc.nat(255))
      .map((n) => n.join("."));
    const v6 = fc
      .tuple(fc.constantFrom("2001:db8", "fe80:0"), fc.nat(0xffff), fc.nat(0xffff))
      .map(([a, b, c]) => `${a}:${b.toString(16)}::${c.toString(16)}`);
    const ranges = fc.array(
      fc.oneof(
        fc.tuple(v4, fc.nat(32)).map(([address, length]) => `${address}/${length}`),
        fc.tuple(v6, fc.nat(128)).map(([address, length]) => `${address}/${length}`),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(ranges, fc.oneof(v4, v6), (texts, address) => {
        const same = texts.filter((text) => text.includes(":") === address.includes(":"));
        const expected = same.filter((text) => range(text).contains(parseIp(address)!));
        assert.equal(index(...texts).has(parseIp(address)!), expected.length > 0);
        assert.deepEqual([...index(...texts).find(parseIp(address)!)].sort(), expected.sort());
      }),
      { seed: 9, numRuns: 500 },
    );
  });
});
