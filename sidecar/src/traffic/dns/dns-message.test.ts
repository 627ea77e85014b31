import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DecodedPacket, decode, encode, type Packet, RECURSION_DESIRED } from "dns-packet";
import fc from "fast-check";
import {
  addressBytes,
  type DnsQuery,
  type DnsRecord,
  encodeAnswer,
  encodeFailure,
  parseQuery,
  parseResponse,
  questionOf,
  RCODE,
  udpLimit,
  withId,
} from "./dns-message.ts";

function query(name: string, type: "A" | "AAAA" | "SRV" = "A", extra: Packet = {}): Uint8Array {
  return encode({ type: "query", id: 4711, flags: RECURSION_DESIRED, questions: [{ type, name }], ...extra });
}

function parsed(message: Uint8Array): DnsQuery {
  const result = parseQuery(message);
  assert.ok(typeof result === "object", "it is refused");
  return result;
}

function answered(message: Uint8Array, records: readonly DnsRecord[], mostBytes = 512): DecodedPacket {
  const answer = encodeAnswer(message, parsed(message), { rcode: RCODE.NOERROR, records, recursive: true, mostBytes });
  return decode(Buffer.from(answer));
}

const EDNS: Packet = {
  additionals: [
    {
      type: "OPT",
      name: ".",
      udpPayloadSize: 4096,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0x8000,
      flag_do: true,
      options: [],
    },
  ],
};

describe("a DNS query", () => {
  test("is read as another codec has written it", () => {
    const { name, type, id, udpPayloadBytes, inClass } = parsed(query("Orders.Shop", "AAAA"));
    assert.deepEqual([name, type, id, udpPayloadBytes, inClass], ["orders.shop", 28, 4711, undefined, true]);
    assert.equal(parsed(query("a.b", "A", EDNS)).udpPayloadBytes, 4096);
    assert.equal(udpLimit(parsed(query("a.b", "A", EDNS))), 1232, "no larger than what is never cut");
    assert.equal(udpLimit(parsed(query("a.b"))), 512);
  });

  test("that is an answer is not answered", () => {
    const answer = encode({ type: "response", id: 1, questions: [{ type: "A", name: "a" }] });
    assert.equal(parseQuery(answer), "ignore");
    assert.equal(parseQuery(answer.subarray(0, 11)), "ignore");
  });

  for (const [what, bytes, code] of [
    ["of two questions", "0001 0100 0002 0000 0000 0000 0161 00 0001 0001 0162 00 0001 0001", RCODE.FORMERR],
    ["without a question", "0001 0100 0000 0000 0000 0000", RCODE.FORMERR],
    ["whose name points to itself", "0001 0100 0001 0000 0000 0000 c00c 0001 0001", RCODE.FORMERR],
    ["whose name points to the header", "0001 0100 0001 0000 0000 0000 0161 c000 0001 0001", RCODE.FORMERR],
    ["whose label has a reserved length", "0001 0100 0001 0000 0000 0000 4161 00 0001 0001", RCODE.FORMERR],
    ["whose label is longer than the message", "0001 0100 0001 0000 0000 0000 0561 00 0001 0001", RCODE.FORMERR],
    ["that ends within its question", "0001 0100 0001 0000 0000 0000 0161 00 0001 00", RCODE.FORMERR],
    ["that announces records it does not have", "0001 0100 0001 0000 0000 ffff 0161 00 0001 0001", RCODE.FORMERR],
    [
      "of two OPT records",
      "0001 0100 0001 0000 0000 0002 0161 00 0001 0001 00 0029 1000 00000000 0000 00 0029 1000 00000000 0000",
      RCODE.FORMERR,
    ],
    ["that is an update", "0001 2800 0001 0000 0000 0000 0161 00 0006 0001", RCODE.NOTIMP],
  ] as const) {
    test(`${what} is answered ${code}`, () => {
      const message = Buffer.from(bytes.replaceAll(" ", ""), "hex");
      assert.equal(parseQuery(message), code);
      const { id, rcode } = decode(Buffer.from(encodeFailure(message, code))) as DecodedPacket & { rcode: string };
      assert.deepEqual([id, rcode], [1, code === RCODE.NOTIMP ? "NOTIMP" : "FORMERR"]);
    });
  }

  test("of a name longer than 255 bytes is refused", () => {
    const label = `3f${"61".repeat(63)}`;
    const name = (labels: number): Buffer =>
      Buffer.from(`000101000001000000000000${label.repeat(labels)}0000010001`, "hex");
    assert.equal(typeof parseQuery(name(3)), "object");
    assert.equal(parseQuery(name(4)), RCODE.FORMERR);
  });

  test("of a label that holds a dot has no name that a table could have", () => {
    const dotted = Buffer.from(
      `0001010000010000000000000b${Buffer.from("orders.shop").toString("hex")}0000010001`,
      "hex",
    );
    assert.equal(parsed(dotted).name, undefined);
    const binary = Buffer.from("00010100000100000000000002ff000000010001", "hex");
    assert.equal(parsed(binary).name, undefined);
  });

  test("of any bytes is read or refused, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const result = parseQuery(bytes);
        if (typeof result === "object") {
          const most = 512;
          const options = { rcode: 0, records: [], recursive: false, mostBytes: most };
          assert.ok(encodeAnswer(bytes, result, options).length >= result.questionEnd);
        }
        parseResponse(bytes, 1, bytes.subarray(12));
      }),
      { numRuns: 2000 },
    );
    const whole = query("orders.shop.svc.cluster.local", "A", EDNS);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, cut) => {
        const mutated = Uint8Array.from(whole);
        mutated[at] = value;
        parseQuery(mutated.subarray(0, cut));
        parseQuery(mutated);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a DNS answer", () => {
  test("has the question as it came, letter for letter, and what was found", () => {
    const answer = answered(query("oRdErS.ShOp"), [
      { type: "address", address: "10.0.0.1", ttlS: 30 },
      { type: "address", address: "10.0.0.2", ttlS: 70_000 },
    ]);
    assert.equal(answer.questions?.[0]?.name, "oRdErS.ShOp");
    assert.deepEqual(
      answer.answers?.map((one) => one.type === "A" && [one.name, one.data, one.ttl]),
      [
        ["oRdErS.ShOp", "10.0.0.1", 30],
        ["oRdErS.ShOp", "10.0.0.2", 70_000],
      ],
    );
    assert.deepEqual(
      [answer.flag_qr, answer.flag_rd, answer.flag_ra, answer.flag_aa, answer.flag_tc],
      [true, true, true, false, false],
    );
  });

  test("has IPv6 addresses in every way of writing", () => {
    for (const address of [
      "2001:db8::7",
      "::",
      "::1",
      "fd00::",
      "1:2:3:4:5:6:7:8",
      "::ffff:192.0.2.1",
      "64:ff9b::192.0.2.33",
    ]) {
      const found = answered(query("a", "AAAA"), [{ type: "address", address, ttlS: 1 }]).answers?.[0];
      assert.ok(found?.type === "AAAA");
      assert.deepEqual(addressBytes(found.data), addressBytes(address), address);
    }
    assert.equal(Buffer.from(addressBytes("64:ff9b::192.0.2.33")).toString("hex"), "0064ff9b0000000000000000c0000221");
  });

  test("has SRV records with their targets written out", () => {
    const srv = { type: "srv", priority: 1, weight: 2, port: 8080, target: "orders-1.orders.shop.", ttlS: 5 } as const;
    const found = answered(query("_http._tcp.orders", "SRV"), [srv]).answers?.[0];
    assert.deepEqual(found?.type === "SRV" && found.data, {
      priority: 1,
      weight: 2,
      port: 8080,
      target: "orders-1.orders.shop",
    });
  });

  test("says TC where not all of it fits", () => {
    const records = Array.from(
      { length: 100 },
      (_, i): DnsRecord => ({ type: "address", address: `10.0.0.${i}`, ttlS: 5 }),
    );
    const message = query("orders.shop");
    const answer = encodeAnswer(message, parsed(message), { rcode: 0, records, recursive: false, mostBytes: 512 });
    assert.ok(answer.length <= 512 && answer.length > 496);
    const { flag_tc, answers } = decode(Buffer.from(answer));
    assert.deepEqual([flag_tc, answers?.length], [true, Math.floor((512 - message.length) / 16)]);
  });

  test("speaks EDNS to whoever does", () => {
    const { additionals } = answered(query("a.b", "A", EDNS), []);
    assert.equal(additionals?.[0]?.type, "OPT");
    assert.equal(additionals?.[0]?.type === "OPT" && additionals[0].udpPayloadSize, 1232);
    assert.deepEqual(answered(query("a.b"), []).additionals, []);
  });
});

describe("the answer of a name server", () => {
  const asked = query("a.example");
  const question = questionOf(asked, parsed(asked));
  const response = (rest: Packet = {}): Uint8Array =>
    encode({ type: "response", id: 7, questions: [{ type: "A", name: "a.example" }], ...rest });

  test("counts when id and question are those that were sent", () => {
    assert.deepEqual(parseResponse(response(), 7, question), { rcode: 0, truncated: false });
    assert.deepEqual(parseResponse(response({ questions: [{ type: "A", name: "A.eXample" }] }), 7, question)?.rcode, 0);
    assert.equal(withId(response(), 9)[1], 9);
  });

  for (const [what, bytes] of [
    ["with another id", withId(response(), 8)],
    ["to another name", response({ questions: [{ type: "A", name: "b.example" }] })],
    ["to another type", response({ questions: [{ type: "AAAA", name: "a.example" }] })],
    ["without a question", response({ questions: [] })],
    ["that is a question", withId(asked, 7)],
    ["that is cut", response().subarray(0, 14)],
  ] as const) {
    test(`${what} does not count`, () => assert.equal(parseResponse(bytes, 7, question), undefined));
  }

  test("may leave the question out where it refuses", () => {
    const refused = Buffer.from("000781050000000000000000", "hex");
    assert.deepEqual(parseResponse(refused, 7, question), { rcode: RCODE.REFUSED, truncated: false });
  });
});
