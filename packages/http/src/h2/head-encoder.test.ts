import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HeaderMap } from "../header-map.ts";
import { FRAME_HEADER_BYTES } from "./frame/index.ts";
import { HeadEncoder, LeaveOut } from "./head-encoder.ts";
import { HpackDecoder, HpackError } from "./hpack/index.ts";

const LIMITS = { maxListSize: 64 * 1024, maxCount: 200 };

function decode(decoder: HpackDecoder, block: Buffer): readonly string[] {
  const decoded = decoder.decode(Buffer.from(block.subarray(FRAME_HEADER_BYTES)));
  assert.ok(!(decoded instanceof HpackError));
  return decoded.fields;
}

test("whatever lists come in whatever order, the peer decodes what was meant", () => {
  const value = fc.oneof(
    fc.constantFrom("a", "text/plain", "7", ""),
    fc.nat(9).map((n) => `id-${n}`),
    fc.uuid(),
    fc.constant("long".repeat(300)),
  );
  const name = fc.constantFrom("accept", "x-request-id", "date", "authorization", "cookie", "x-own", "content-length");
  const fields = fc.array(fc.tuple(name, value), { maxLength: 6 }).map((pairs) => pairs.flat());
  const lead = fc.constantFrom(
    [],
    [":status", "200"],
    [":method", "GET", ":path", "/a"],
    [":method", "GET", ":path", "/b"],
  );
  const leaveOut = fc.constantFrom(LeaveOut.Nothing, LeaveOut.Nothing, LeaveOut.ContentLength);
  const list = fc.record({ lead, fields, leaveOut });
  const resize = fc.constantFrom(0, 64, 200, 4096);
  // Few kinds of lists, so that most of them come again, or nearly.
  const story = fc.record({
    kinds: fc.array(list, { minLength: 1, maxLength: 4 }),
    steps: fc.array(fc.record({ kind: fc.nat(3), place: fc.nat(7), value, size: fc.option(resize, { freq: 20 }) }), {
      maxLength: 120,
    }),
  });
  fc.assert(
    fc.property(story, ({ kinds, steps }) => {
      const encoder = new HeadEncoder(4096);
      const decoder = new HpackDecoder(LIMITS);
      for (const { kind, place, value: changed, size } of steps) {
        if (size !== null) {
          encoder.allowTableSize(size);
          decoder.allowTableSize(size);
        }
        const of = kinds[kind % kinds.length]!;
        const sent = of.fields.map((text, i) => (i === place * 2 + 1 ? changed : text));
        const kept = sent.filter((_, i) => of.leaveOut === LeaveOut.Nothing || sent[i & ~1] !== "content-length");
        const headers = new HeaderMap(sent);
        assert.deepEqual(decode(decoder, encoder.encode(of.lead, headers, of.leaveOut)), [...of.lead, ...kept]);
      }
    }),
    { seed: 1, numRuns: 400 },
  );
});

test("a list that comes again costs its bytes alone, and one that differs in an id that and its name", () => {
  const encoder = new HeadEncoder(4096);
  const decoder = new HpackDecoder(LIMITS);
  const list = (id: number): HeaderMap =>
    new HeaderMap(["accept", "text/plain", "x-request-id", `${id}`.padStart(8, "0"), "x-own", "value"]);
  const lead = [":method", "GET", ":path", "/here"];
  const lengths: number[] = [];
  for (let id = 0; id < 200; id++) {
    const block = encoder.encode(lead, list(id), LeaveOut.Nothing);
    lengths.push(block.length - FRAME_HEADER_BYTES);
    assert.deepEqual(decode(decoder, block), [...lead, ...list(id).fields]);
  }
  // Four fields of an octet; the name's index in two, the length and the id.
  assert.ok(lengths.slice(100).filter((length) => length === 4 + 2 + 1 + 8).length > 80, lengths.join());
});

test("a new size of the table is said once", () => {
  const encoder = new HeadEncoder(4096);
  const list = new HeaderMap(["accept", "text/plain"]);
  for (let i = 0; i < 4; i++) encoder.encode([], list, LeaveOut.Nothing);
  encoder.allowTableSize(1024);
  const first = encoder.encode([], list, LeaveOut.Nothing)[FRAME_HEADER_BYTES]!;
  assert.equal(first & 0xe0, 0x20);
  for (let i = 0; i < 4; i++) {
    const next = encoder.encode([], list, LeaveOut.Nothing)[FRAME_HEADER_BYTES]!;
    assert.notEqual(next & 0xe0, 0x20);
  }
});

test("ids that are written over those before are sent as they stand, and none that may not stand there", () => {
  const lead = [":method", "GET", ":path", "/here"];
  const odd = [
    "1234\n678",
    "1234\u010a678",
    "1234\u0141678",
    " 2345678",
    "1234567\t",
    "123\x7f5678",
    "123456789",
    "12345",
    "",
  ];
  const clean = ["1234 678", "1234 678", "1234 678", "2345678", "1234567", "123 5678", "123456789", "12345", ""];
  const list = (id: string, step: number, pad: string): string[] => [
    "accept",
    "text/plain",
    "x-request-id",
    id,
    "x-own",
    step % 31 === 30 ? "other" : "value",
    "x-trace",
    `${step * 7}`.padStart(20, pad),
  ];
  for (const pad of ["t", "t\xe9"]) {
    const encoder = new HeadEncoder(4096);
    const decoder = new HpackDecoder(LIMITS);
    for (let step = 0; step < 900; step++) {
      const at = step % 10 === 9 ? Math.floor(step / 10) % odd.length : -1;
      const id = `${step}`.padStart(8, "0");
      const block = encoder.encode(lead, new HeaderMap(list(odd[at] ?? id, step, pad)), LeaveOut.Nothing);
      assert.deepEqual(decode(decoder, block), [...lead, ...list(clean[at] ?? id, step, pad)]);
    }
  }
});

test("no value is written over the index or the length of the one before, though that is the same byte as a character of it", () => {
  const said = (value: string): readonly string[] => ["x-a", value, "x-b", "1"];
  const tell = (encoder: HeadEncoder, decoder: HpackDecoder, value: string): void => {
    const block = encoder.encode([":method", "GET"], new HeaderMap([...said(value)]), LeaveOut.Nothing);
    assert.deepEqual(decode(decoder, block), [":method", "GET", ...said(value.trim())]);
  };
  // Each of these is the byte that stands for some entry of the dynamic table, and the value of that entry.
  for (let code = 0xbe; code <= 0xff; code++) {
    const [encoder, decoder] = [new HeadEncoder(4096), new HpackDecoder(LIMITS)];
    const own = String.fromCharCode(code);
    for (const value of [own, "p", "q", "r", own, own, own, "z", "\x90", "A"]) tell(encoder, decoder, value);
  }
  // The length of what is sent of these is the character that is not sent.
  for (const odd of ["\t123456789", ` ${"7".repeat(32)}`]) {
    const [encoder, decoder] = [new HeadEncoder(4096), new HpackDecoder(LIMITS)];
    for (let step = 0; step < 200; step++) {
      const id = `${step}`.padStart(odd.length, "A");
      tell(encoder, decoder, step % 40 > 20 && step % 2 === 0 ? odd : id);
    }
  }
});
