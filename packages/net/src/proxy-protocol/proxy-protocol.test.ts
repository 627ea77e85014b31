import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import { encodeProxyHeader } from "./encode-proxy-header.ts";
import { type ProxyHeaderParse, parseProxyHeader } from "./parse-proxy-header.ts";
import { type ProxyHeader, V2_SIGNATURE } from "./proxy-header.ts";

const RUNS = { numRuns: 300, seed: 20261121 };

function parse(bytes: string | Uint8Array): ProxyHeaderParse {
  return parseProxyHeader(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
}

/** Signature, then the bytes; the length is written where it belongs. */
function v2(versionCommand: number, family: number, rest: readonly number[], length = rest.length): Uint8Array {
  return Uint8Array.from([...V2_SIGNATURE, versionCommand, family, length >> 8, length & 0xff, ...rest]);
}

const IPV4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0x00, 0x01, 0xbb];
const V4_ADDRESSES = {
  sourceAddress: "192.0.2.1",
  sourcePort: 4096,
  destinationAddress: "198.51.100.2",
  destinationPort: 443,
};

test("the checksum is CRC-32C", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa); // RFC 7143 appendix A.4
});

describe("a header of version 1", () => {
  test("tells the addresses, and where the connection's own bytes begin", () => {
    const line = "PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\r\n";
    assert.deepEqual(parse(`${line}GET /`), {
      type: "header",
      header: { version: 1, addresses: V4_ADDRESSES, tlvs: [] },
      length: line.length,
    });
    assert.deepEqual(parse("PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n"), {
      type: "header",
      header: {
        version: 1,
        addresses: { sourceAddress: "2001:db8::1", sourcePort: 1, destinationAddress: "::1", destinationPort: 65535 },
        tlvs: [],
      },
      length: 36,
    });
  });

  test("of an unknown connection leaves the addresses as they are", () => {
    for (const line of ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f::1 what ever\r\n"]) {
      assert.deepEqual(parse(line), {
        type: "header",
        header: { version: 1, addresses: undefined, tlvs: [] },
        length: line.length,
      });
    }
  });

  test("is waited for byte by byte", () => {
    const line = "PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\r\n";
    for (let length = 0; length < line.length; length++) {
      assert.equal(parse(line.slice(0, length)).type, "more", line.slice(0, length));
    }
  });

  for (const [what, line] of [
    ["a bare LF", "PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\n"],
    ["two blanks", "PROXY TCP4  192.0.2.1 198.51.100.2 4096 443\r\n"],
    ["a blank at the end", "PROXY TCP4 192.0.2.1 198.51.100.2 4096 443 \r\n"],
    ["a tab", "PROXY TCP4\t192.0.2.1 198.51.100.2 4096 443\r\n"],
    ["no ports", "PROXY TCP4 192.0.2.1 198.51.100.2\r\n"],
    ["one more word", "PROXY TCP4 192.0.2.1 198.51.100.2 4096 443 x\r\n"],
    ["an IPv6 address of TCP4", "PROXY TCP4 ::1 ::1 1 2\r\n"],
    ["an IPv4 address of TCP6", "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n"],
    ["an address and a port that could be an IPv6 address", "PROXY TCP4 1.2.3.4:5 1.2.3.4 1 2\r\n"],
    ["octal numbers", "PROXY TCP4 192.0.02.1 198.51.100.2 1 2\r\n"],
    ["a short address", "PROXY TCP4 127.1 198.51.100.2 1 2\r\n"],
    ["a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"],
    ["a port that is too large", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n"],
    ["a port with a sign", "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n"],
    ["a port with a leading zero", "PROXY TCP4 192.0.2.1 198.51.100.2 01 443\r\n"],
    ["an empty port", "PROXY TCP4 192.0.2.1 198.51.100.2  443\r\n"],
    ["multicast", "PROXY TCP4 224.0.0.1 198.51.100.2 1 443\r\n"],
    ["no host", "PROXY TCP4 192.0.2.1 0.0.0.0 1 443\r\n"],
    ["UDP", "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n"],
    ["lower case", "PROXY tcp4 192.0.2.1 198.51.100.2 1 443\r\n"],
    ["no protocol", "PROXY \r\n"],
    ["a line that is too long", `PROXY UNKNOWN ${"x".repeat(92)}\r\n`],
    ["a line without end", `PROXY UNKNOWN ${"x".repeat(93)}`],
  ] as const) {
    test(`with ${what} is bad`, () => {
      const parsed = parse(line);
      assert.equal(parsed.type, "bad");
      assert.equal(parsed.version, 1);
    });
  }

  test("has at most 107 bytes", () => {
    const longest = `PROXY UNKNOWN ${"x".repeat(91)}\r\n`;
    assert.equal(longest.length, 107);
    assert.equal(parse(longest).type, "header");
  });
});

describe("a header of version 2", () => {
  test("tells the addresses of IPv4 and IPv6", () => {
    assert.deepEqual(parse(v2(0x21, 0x11, IPV4)), {
      type: "header",
      header: { version: 2, addresses: V4_ADDRESSES, tlvs: [] },
      length: 28,
    });
    const six = [0x20, 0x01, 0x0d, 0xb8, ...new Array(11).fill(0), 1, ...new Array(15).fill(0), 1, 0, 1, 0xff, 0xff];
    assert.deepEqual(parse(v2(0x21, 0x21, six)), {
      type: "header",
      header: {
        version: 2,
        addresses: { sourceAddress: "2001:db8::1", sourcePort: 1, destinationAddress: "::1", destinationPort: 65535 },
        tlvs: [],
      },
      length: 52,
    });
  });

  test("of the proxy's own connection, of an unknown one and of a Unix socket leaves the addresses", () => {
    for (const bytes of [
      v2(0x20, 0x00, []),
      v2(0x20, 0x11, IPV4),
      v2(0x20, 0xff, [1, 2, 3]),
      v2(0x21, 0x00, []),
      v2(0x21, 0x31, new Array(216).fill(0)),
    ]) {
      assert.deepEqual(parse(bytes), {
        type: "header",
        header: { version: 2, addresses: undefined, tlvs: [] },
        length: bytes.length,
      });
    }
  });

  test("tells its TLVs, without padding and checksum", () => {
    const tlvs = [0xea, 0, 2, 0x61, 0x62, 0x04, 0, 1, 0, 0x02, 0, 0];
    const parsed = parse(v2(0x21, 0x11, [...IPV4, ...tlvs]));
    assert.equal(parsed.type, "header");
    assert.deepEqual(parsed.header.tlvs, [
      { type: 0xea, value: Uint8Array.of(0x61, 0x62) },
      { type: 2, value: new Uint8Array() },
    ]);
  });

  test("is held to its checksum", () => {
    const bytes = v2(0x21, 0x11, [...IPV4, 0x03, 0, 4, 0, 0, 0, 0]);
    Buffer.from(bytes.buffer).writeUInt32BE(crc32c(bytes), bytes.length - 4);
    assert.equal(parse(bytes).type, "header");
    const typeAndLength = [28, 29, 30]; // of the checksum: another type would be another TLV
    for (let at = 16; at < bytes.length; at++) {
      if (typeAndLength.includes(at)) continue;
      const wrong = Uint8Array.from(bytes);
      wrong[at]! ^= 1;
      assert.equal(parse(wrong).type, "bad", `byte ${at}`);
    }
  });

  test("is waited for byte by byte", () => {
    const bytes = v2(0x21, 0x11, [...IPV4, 0xea, 0, 1, 0x61]);
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(parse(bytes.subarray(0, length)).type, "more", `${length} bytes`);
    }
  });

  for (const [what, bytes] of [
    ["another version", v2(0x11, 0x11, IPV4)],
    ["another command", v2(0x22, 0x11, IPV4)],
    ["another family", v2(0x21, 0x41, IPV4)],
    ["another transport", v2(0x21, 0x13, IPV4)],
    ["addresses that do not fit", v2(0x21, 0x11, IPV4.slice(0, 11))],
    ["IPv6 addresses that do not fit", v2(0x21, 0x21, IPV4)],
    ["a TLV that is cut off", v2(0x21, 0x11, [...IPV4, 0xea, 0])],
    ["a TLV that is longer than the header", v2(0x21, 0x11, [...IPV4, 0xea, 0, 2, 0x61])],
    ["a checksum of another length", v2(0x21, 0x11, [...IPV4, 0x03, 0, 2, 0, 0])],
    ["broadcast", v2(0x21, 0x11, [255, 255, 255, 255, ...IPV4.slice(4)])],
  ] as const) {
    test(`with ${what} is bad`, () => {
      const parsed = parse(bytes);
      assert.equal(parsed.type, "bad");
      assert.equal(parsed.version, 2);
    });
  }
});

test("CVE-2026-47692: what TLVs hold ends with the header, wherever their lengths point", () => {
  const cut = v2(0x21, 0x11, [...IPV4, 0xea, 0, 4, 0x61]);
  assert.equal(parse(Buffer.concat([cut, Buffer.from("bcd of the connection's own bytes")])).type, "bad");
  const nested = v2(0x21, 0x11, [...IPV4, 0xea, 0, 1, 0x61, 0xeb, 0xff, 0xff, 0x62]);
  assert.equal(parse(nested).type, "bad");
  const whole = parse(Buffer.concat([v2(0x21, 0x11, [...IPV4, 0xea, 0, 1, 0x61]), Buffer.from("bcd")]));
  assert.deepEqual(whole.type === "header" && whole.header.tlvs, [{ type: 0xea, value: Uint8Array.of(0x61) }]);
});

test("what begins otherwise is no header", () => {
  for (const text of ["GET / HTTP/1.1", "PROXX", "\r\n\r\n\0\r\nQUIX", "proxy TCP4", "\u0016\u0003\u0001"]) {
    assert.deepEqual(parse(text), { type: "none" }, text);
  }
});

const ip = fc.oneof(
  fc.record({ family: fc.constant(4), source: fc.ipV4(), destination: fc.ipV4() }),
  fc.record({ family: fc.constant(6), source: fc.ipV6(), destination: fc.ipV6() }),
);
const port = fc.nat({ max: 0xffff });

test("what is encoded is read as it was, whatever follows", () => {
  fc.assert(
    fc.property(
      ip,
      port,
      port,
      fc.constantFrom(1 as const, 2 as const),
      fc.array(fc.tuple(fc.integer({ min: 0xe0, max: 0xff }), fc.uint8Array({ maxLength: 20 }))),
      fc.uint8Array(),
      ({ source, destination }, sourcePort, destinationPort, version, pairs, rest) => {
        const tlvs = pairs.map(([type, value]) => ({ type, value }));
        const addresses = {
          sourceAddress: source,
          sourcePort,
          destinationAddress: destination,
          destinationPort,
        };
        const header: ProxyHeader = { version, addresses, tlvs: version === 1 ? [] : tlvs };
        const bytes = Buffer.from(encodeProxyHeader(header), "latin1");
        const parsed = parse(Buffer.concat([bytes, rest]));
        if (parsed.type === "bad") assert.match(parsed.reason, /not that of one host/);
        else {
          assert.equal(parsed.type, "header");
          assert.equal(parsed.length, bytes.length);
          assert.deepEqual(parsed.header.tlvs, header.tlvs);
          assert.equal(encodeProxyHeader(parsed.header), encodeProxyHeader(header));
        }
      },
    ),
    RUNS,
  );
});

test("any bytes are judged without a throw, and more bytes never undo a judgement", () => {
  const beginnings = fc.oneof(
    fc.constant(Buffer.from("PROXY TCP4 ")),
    fc.constant(Buffer.from(V2_SIGNATURE)),
    fc.constant(Buffer.from(v2(0x21, 0x11, IPV4, 40))),
    fc.constant(Buffer.alloc(0)),
  );
  fc.assert(
    fc.property(beginnings, fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), (start, a, b) => {
      const first = parse(Buffer.concat([start, a]));
      const second = parse(Buffer.concat([start, a, b]));
      if (first.type !== "more") assert.equal(second.type, first.type);
      if (first.type === "header") assert.deepEqual(second, first);
    }),
    { ...RUNS, numRuns: 2000 },
  );
});

test("where addresses are not known or do not fit together, nothing is said", () => {
  const mixed = { sourceAddress: "192.0.2.1", sourcePort: 1, destinationAddress: "::1", destinationPort: 2 };
  for (const addresses of [undefined, mixed, { ...mixed, sourceAddress: "" }]) {
    assert.equal(encodeProxyHeader({ version: 1, addresses, tlvs: [] }), "PROXY UNKNOWN\r\n");
    const local = parse(Buffer.from(encodeProxyHeader({ version: 2, addresses, tlvs: [] }), "latin1"));
    assert.equal(local.type === "header" && local.header.addresses, undefined);
  }
});

test("TLVs that do not fit are left out", () => {
  const value = new Uint8Array(40_000);
  const addresses = V4_ADDRESSES;
  const encoded = encodeProxyHeader({
    version: 2,
    addresses,
    tlvs: [
      { type: 1, value },
      { type: 2, value },
      { type: 5, value: Uint8Array.of(1) },
    ],
  });
  const parsed = parse(encoded);
  assert.equal(parsed.type, "header");
  assert.deepEqual(
    parsed.header.tlvs.map(({ type }) => type),
    [1, 5],
  );
});
