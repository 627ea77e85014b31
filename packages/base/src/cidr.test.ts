import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Cidr, formatIp, isLoopback, parseIp, sameIp } from "./cidr.ts";

function cidr(text: string): Cidr {
  const result = Cidr.parse(text);
  assert.ok(result.ok, text);
  return result.value;
}

describe("blocks of addresses", () => {
  it("know what they contain", () => {
    for (const [block, inside, outside] of [
      ["10.0.0.0/8", "10.255.0.1", "11.0.0.1"],
      ["192.168.1.7", "192.168.1.7", "192.168.1.8"],
      ["0.0.0.0/0", "255.255.255.255", "::1"],
      ["2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"],
      ["::1/128", "::1", "::2"],
      ["::/0", "10.0.0.1", undefined],
    ] as const) {
      assert.ok(cidr(block).contains(parseIp(inside)!), `${inside} in ${block}`);
      if (outside !== undefined) assert.ok(!cidr(block).contains(parseIp(outside)!), `${outside} not in ${block}`);
    }
  });

  it("see an IPv4-mapped address as the IPv4 address that it is", () => {
    assert.ok(cidr("10.0.0.0/8").contains(parseIp("::ffff:10.1.2.3")!));
    assert.ok(sameIp(parseIp("::ffff:7f00:1")!, parseIp("127.0.0.1")!));
    assert.ok(isLoopback(parseIp("127.8.9.1")!));
    assert.ok(isLoopback(parseIp("::1")!));
    assert.ok(!isLoopback(parseIp("::2")!));
    assert.ok(!isLoopback(parseIp("128.0.0.1")!));
  });

  it("are refused with an example when they are none", () => {
    for (const bad of ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "a/8", "fe80::1%eth0/64"]) {
      assert.equal(Cidr.parse(bad).ok, false, bad);
    }
  });

  it("are equal when they hold the same, and print with their network's own bits", () => {
    assert.ok(cidr("10.1.2.3/8").equals(cidr("10.0.0.0/8")));
    assert.equal(cidr("10.1.2.3/8").toString(), "10.0.0.0/8");
    assert.equal(cidr("2001:DB8:0:0::/32").toString(), cidr("2001:db8::1/32").toString());
    assert.ok(!cidr("10.0.0.0/8").equals(cidr("10.0.0.0/9")));
  });

  it("print addresses as RFC 5952 asks", () => {
    for (const text of [
      "::",
      "::1",
      "1::",
      "2001:db8::1:0:0:1",
      "1:2:3:4:5:6:7:8",
      "10.0.0.1",
      "1:0:2:3:4:5:6:7",
      "::1:2:3:0:0:4",
    ]) {
      assert.equal(formatIp(parseIp(text)!), text);
    }
  });

  it("agree with Node's block list", () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.nat(128), fc.ipV6(), fc.nat(128), (network, length, other, keep) => {
        const list = new BlockList();
        list.addSubnet(network, length, "ipv6");
        const near = keep < 64 ? network : other;
        assert.equal(cidr(`${network}/${length}`).contains(parseIp(near)!), list.check(near, "ipv6"));
      }),
      { seed: 3, numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(32), fc.ipV4(), (network, length, other) => {
        const list = new BlockList();
        list.addSubnet(network, length, "ipv4");
        assert.equal(cidr(`${network}/${length}`).contains(parseIp(other)!), list.check(other, "ipv4"));
      }),
      { seed: 4, numRuns: 200 },
    );
  });
});
