import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DecodedBlock, HpackDecoder, HpackEncoder, HpackError } from "./index.ts";

const LIMITS = { maxListSize: 60 * 1024, maxCount: 100 };
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

function decode(decoder: HpackDecoder, block: Buffer): DecodedBlock {
  const decoded = decoder.decode(block);
  if (decoded instanceof HpackError) throw new Error(decoded.detail);
  return decoded;
}

function encode(encoder: HpackEncoder, fields: readonly string[]): Buffer {
  encoder.begin();
  for (let i = 0; i < fields.length; i += 2) encoder.add(fields[i]!, fields[i + 1]!);
  return Buffer.from(encoder.end());
}

function refusal(...blocks: readonly string[]): string {
  const decoder = new HpackDecoder(LIMITS);
  const results = blocks.map((block) => decoder.decode(hex(block)));
  const last = results.at(-1);
  assert.ok(results.slice(0, -1).every((result) => !(result instanceof HpackError)));
  return last instanceof HpackError ? last.detail : "decoded";
}

describe("the examples of RFC 7541, Appendix C", () => {
  const requests = [
    [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"],
    [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com", "cache-control", "no-cache"],
    [":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com"].concat(
      "custom-key",
      "custom-value",
    ),
  ];
  const coded = {
    "C.3, without Huffman": [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
    "C.4, with Huffman": [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  };
  for (const [name, blocks] of Object.entries(coded)) {
    test(`${name}: three requests over one table`, () => {
      const decoder = new HpackDecoder(LIMITS);
      const sizes = blocks.map((block, i) => {
        assert.deepEqual(decode(decoder, hex(block)).fields, requests[i]);
        return decoder.tableSize;
      });
      assert.deepEqual(sizes, [57, 110, 164]);
    });
  }

  test("our encoder writes C.4 byte for byte", () => {
    const encoder = new HpackEncoder();
    for (const [i, block] of coded["C.4, with Huffman"].entries())
      assert.deepEqual(encode(encoder, requests[i]!), hex(block));
    assert.equal(encoder.tableSize, 164);
  });

  test("C.6: responses in a table of 256 octets evict", () => {
    const decoder = new HpackDecoder({ ...LIMITS, maxTableSize: 256 });
    const blocks = [
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    const decoded = blocks.map((block) => decode(decoder, hex(block)).fields);
    assert.deepEqual(decoded[1]!.slice(0, 4), [":status", "307", "cache-control", "private"]);
    assert.deepEqual(decoded[2]!.slice(-4), [
      "content-encoding",
      "gzip",
      "set-cookie",
      "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ]);
    assert.equal(decoder.tableSize, 215);
  });
});

describe("a block is refused", () => {
  const rows: readonly (readonly [why: string, detail: RegExp, ...blocks: string[]])[] = [
    ["index 0", /index/, "80"],
    ["an index behind the static table while the dynamic one is empty", /index/, "be"],
    ["a name index behind both tables", /index/, "7f 20 01 61"],
    ["an integer without an end", /integer/, "ff"],
    ["an integer with more and more zeros", /integer/, "ff 80 80 80 80 80 80 80 00"],
    ["an integer beyond 2^28", /integer/, "ff ff ff ff ff 7f"],
    ["a string beyond the block", /longer than its block/, "00 05 61 62"],
    ["a literal without a value", /longer than its block/, "00 01 61"],
    ["a literal without anything", /longer than its block/, "00"],
    ["Huffman padding of eight ones", /Huffman/, "00 01 61 82 1f ff"],
    ["Huffman padding with zeros", /Huffman/, "00 01 61 81 18"],
    ["EOS within a Huffman string", /Huffman/, "00 01 61 84 ff ff ff ff"],
    ["a size update behind a field", /behind a field/, "82 20"],
    ["a size update above what was allowed", /above/, "3f e2 1f"],
    ["an index of what a size update has evicted", /index/, "40 01 61 01 62", "20 be"],
  ];
  for (const [why, detail, ...blocks] of rows) {
    test(why, () => assert.match(refusal(...blocks), detail));
  }

  test("a block without a size update, once we allow less than the table has", () => {
    const decoder = new HpackDecoder(LIMITS);
    decode(decoder, hex("40 01 61 01 62"));
    decoder.allowTableSize(30);
    const result = decoder.decode(hex("82"));
    assert.ok(result instanceof HpackError);
    assert.match(result.detail, /no table size update/);
  });
});

describe("limits", () => {
  test("a list at the limit is whole; one octet more ends it, and the table stays right", () => {
    const block = hex("40 01 61 01 62 be be"); // a: b three times, 34 octets each
    const at = new HpackDecoder({ maxListSize: 102, maxCount: 3 });
    assert.deepEqual(decode(at, block), new DecodedBlock(["a", "b", "a", "b", "a", "b"], undefined, false));
    const over = new HpackDecoder({ maxListSize: 101, maxCount: 3 });
    assert.deepEqual(decode(over, block), new DecodedBlock(["a", "b", "a", "b"], undefined, true));
    assert.deepEqual(decode(over, hex("be")).fields, ["a", "b"]);
  });

  test("one field more than the count ends the list", () => {
    const decoder = new HpackDecoder({ maxListSize: 1000, maxCount: 2 });
    assert.equal(decode(decoder, hex("82 86")).overLimit, false);
    assert.equal(decode(decoder, hex("82 86 84")).overLimit, true);
  });

  test("an entry that is large and named ten thousand times costs no more than the list may", () => {
    const decoder = new HpackDecoder(LIMITS);
    const value = Buffer.concat([hex("40 01 61 7f a1 1e"), Buffer.alloc(4000, "x")]);
    const bomb = decode(decoder, Buffer.concat([value, Buffer.alloc(10_000, 0xbe)]));
    assert.equal(bomb.overLimit, true);
    assert.ok(bomb.fields.length <= 2 * 16);
  });
});

describe("the decoder", () => {
  test("tells which fields must never be indexed", () => {
    const decoder = new HpackDecoder(LIMITS);
    const { fields, neverIndexed } = decode(decoder, hex("10 01 61 01 62 00 01 63 01 64"));
    assert.deepEqual([fields, neverIndexed, decoder.tableSize], [["a", "b", "c", "d"], ["a"], 0]);
  });

  test("gives a block that repeats as the same object, with what its user noted on it", () => {
    const decoder = new HpackDecoder(LIMITS);
    let block = decode(decoder, hex("82 86 84"));
    for (let i = 0; i < 6; i++) {
      const next = decode(decoder, hex("82 86 84"));
      assert.deepEqual(next.fields, [":method", "GET", ":scheme", "http", ":path", "/"]);
      if (i > 0) assert.equal(next, block);
      block = next;
    }
  });

  test("gives any name that is inserted as it was sent, however many there are and whatever objects have of that name", () => {
    const odd = ["__proto__", "constructor", "toString", "0", "-1", " ", "", "é", "x".repeat(100)];
    const many = Array.from({ length: 1100 }, (_, index) => `n-${index}`);
    const decoder = new HpackDecoder(LIMITS);
    for (const name of [...odd, ...many, ...odd]) {
      const bytes = Buffer.from(name, "latin1");
      const block = Buffer.concat([Buffer.from([0x40, bytes.length]), bytes, Buffer.from([0x01, 0x61])]);
      assert.deepEqual(decode(decoder, block).fields, [name, "a"]);
      assert.deepEqual(decode(decoder, hex("be")).fields, [name, "a"], "the table's newest");
    }
  });

  test("does not take a block for known once its indices mean something else", () => {
    const decoder = new HpackDecoder(LIMITS);
    const values = ["1", "2", "3"].map((value) => {
      decode(decoder, Buffer.concat([hex("40 01 61 01"), Buffer.from(value)]));
      const seen = new Set<string>();
      for (let i = 0; i < 4; i++) seen.add(decode(decoder, hex("be")).fields[1]!);
      return [...seen];
    });
    assert.deepEqual(values, [["1"], ["2"], ["3"]]);
  });
});

describe("the encoder", () => {
  test("never indexes credentials, short cookies, and what came never indexed", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(LIMITS);
    encoder.begin();
    encoder.add("authorization", "Bearer abc");
    encoder.add("cookie", "a=b");
    encoder.add("cookie", "session=0123456789abcdef");
    encoder.add("x-key", "k", true);
    const { fields, neverIndexed } = decode(decoder, encoder.end());
    assert.deepEqual(neverIndexed, ["authorization", "cookie", "x-key"]);
    assert.equal(fields.length, 8);
    assert.equal(encoder.tableSize, decoder.tableSize);
    assert.equal(encoder.tableSize, 6 + 24 + 32);
  });

  test("stops inserting values that are not sent again, and goes on with those that are", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(LIMITS);
    let last = 0;
    let inserted = 0;
    for (let i = 0; i < 2000; i++) {
      const id = `id-${String(i).padStart(6, "0")}`;
      const before = encoder.tableSize;
      const block = encode(encoder, ["x-request-id", id, "accept", "text/html"]);
      if (encoder.tableSize !== before) inserted++;
      assert.deepEqual(decode(decoder, block).fields, ["x-request-id", id, "accept", "text/html"]);
      last = block.length;
    }
    assert.ok(inserted < 60, `${inserted} of 2000 ids were inserted`);
    assert.ok(last < 14, `${last} octets`);
  });

  test("tells the smallest and the last of several size changes, first in the next block", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(LIMITS);
    encode(encoder, ["a", "b"]);
    encoder.allowTableSize(0);
    encoder.allowTableSize(100);
    const block = encode(encoder, [":method", "GET"]);
    assert.deepEqual(block, hex("20 3f45 82"));
    decode(decoder, block);
    assert.deepEqual(encode(encoder, [":method", "GET"]), hex("82"));
  });

  test("uses no table where the peer has none", () => {
    const encoder = new HpackEncoder();
    encoder.allowTableSize(0);
    encode(encoder, []);
    for (let i = 0; i < 3; i++) encode(encoder, ["a", "b"]);
    assert.equal(encoder.tableSize, 0);
  });
});

test("whatever is encoded decodes to the same, over tables of any size that changes meanwhile", () => {
  const name = fc.constantFrom("a", "cookie", ":path", "x-long-name", "authorization", "accept", ":status");
  const value = fc.oneof(
    fc.constantFrom("", "200", "/", "gzip, deflate", "x".repeat(600)),
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 40 }),
  );
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.array(fc.tuple(name, value), { maxLength: 6 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 40, 64, 200, 4096, 70_000) },
  );
  fc.assert(
    fc.property(fc.constantFrom(0, 100, 4096, 65_536), fc.array(step, { maxLength: 40 }), (ownMax, steps) => {
      const encoder = new HpackEncoder(ownMax);
      const decoder = new HpackDecoder({ ...LIMITS, maxTableSize: 70_000 });
      for (const next of steps) {
        if (typeof next === "number") encoder.allowTableSize(next);
        else {
          const fields = next.flat();
          assert.deepEqual(decode(decoder, encode(encoder, fields)).fields, fields);
          assert.equal(decoder.tableSize, encoder.tableSize);
        }
      }
    }),
    { numRuns: 400, seed: 7 },
  );
});

test("no bytes make the decoder throw or hang", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (blocks) => {
      const decoder = new HpackDecoder({ maxListSize: 500, maxCount: 5 });
      for (const block of blocks) {
        const result = decoder.decode(Buffer.from(block));
        if (result instanceof HpackError) return;
        assert.ok(result.fields.length <= 10);
      }
    }),
    { numRuns: 3000, seed: 3 },
  );
});

test("what stands right behind a value that differs is read too, of a block that is like one before", () => {
  const decoder = new HpackDecoder(LIMITS);
  const literal = (name: string, value: string): Buffer =>
    Buffer.from(`\x00${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`, "latin1");
  const block = (id: string, method: number, end: string): Buffer =>
    Buffer.concat([literal("x-id", id), Buffer.of(method), literal("x-end", end)]);
  const [get, post] = [0x82, 0x83]; // RFC 7541, Appendix A
  for (const [id, method, end] of [
    ["aaaa", get, "one"],
    ["bbbb", get, "one"],
    ["cccc", get, "one"],
    ["dddd", post, "one"],
    ["eeee", get, "two"],
    ["ffff", post, "two"],
  ] as const) {
    const decoded = decoder.decode(block(id, method, end));
    assert.ok(!(decoded instanceof HpackError));
    assert.deepEqual(decoded.fields, ["x-id", id, ":method", method === get ? "GET" : "POST", "x-end", end]);
  }
});
