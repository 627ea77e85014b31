/**
 * What HPACK and frames cost, in nanoseconds for one operation: `node --conditions=heddle-src bench/micro/h2-codec.ts`.
 *
 * Each row runs in several rounds and prints the fastest, which is the one the machine disturbed least. A row "that
 * repeats" meets the same block again and again, as of a client that polls; one "that differs" has an id and a path of its
 * own in each, so that no memory of whole blocks helps.
 */
import { Flag, FrameReader, FrameType, HpackDecoder, HpackEncoder, writeFrameHeader } from "@heddle/http/testing";

const ROUNDS = 7;
const VARIETY = 1024;
const LIMITS = { maxListSize: 60 * 1024, maxCount: 100 };

const COMMON = [
  ":method",
  "GET",
  ":scheme",
  "http",
  ":authority",
  "stock.shop.example:8080",
  "user-agent",
  "curl/8.5.0",
  "accept",
  "*/*",
  "x-forwarded-proto",
  "http",
] as const;
const REPEATED = [...COMMON, ":path", "/stock/items/17?colour=blue"];
const DIFFERENT = Array.from({ length: VARIETY }, (_, i) => [
  ...COMMON,
  ":path",
  `/stock/items/${i * 7919}?colour=blue`,
  "x-request-id",
  `9c8c4b1e-6f1a-4a53-9d3a-${(i * 0x1_0001 + 0xd8ad_4ef7).toString(16).padStart(12, "0")}`,
]);

function encode(encoder: HpackEncoder, fields: readonly string[]): Buffer {
  encoder.begin();
  for (let i = 0; i < fields.length; i += 2) encoder.add(fields[i]!, fields[i + 1]!); // they come in pairs
  return encoder.end();
}

/** What a client sends when its table has settled, and a decoder that has seen all before. */
function settled(lists: readonly (readonly string[])[]): { blocks: Buffer[]; decoder: HpackDecoder } {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(LIMITS);
  for (let i = 0; i < 5000; i++) decoder.decode(encode(encoder, lists[i % lists.length]!)); // within the list
  const blocks = lists.map((list) => Buffer.from(encode(encoder, list)));
  for (const block of blocks) decoder.decode(block);
  return { blocks, decoder };
}

let seen = 0;
const count = {
  onFrame: (): undefined => void seen++,
  onDataFrame: (): undefined => void seen++,
  onDataChunk: (): undefined => void seen++,
};

function frames(type: number, length: number, times: number): Buffer {
  const bytes = Buffer.alloc((9 + length) * times, 1);
  for (let i = 0; i < times; i++)
    writeFrameHeader(bytes, i * (9 + length), length, type, type === FrameType.Headers ? Flag.EndHeaders : 0, 1);
  return bytes;
}

const repeated = settled([REPEATED]);
const different = settled(DIFFERENT);
const encoder = new HpackEncoder();
const reader = new FrameReader(count);
const dataFrames = frames(FrameType.Data, 1029, 60);
const headersFrames = frames(FrameType.Headers, 40, 60);
const windowUpdates = frames(FrameType.WindowUpdate, 4, 60);

const rows: readonly { readonly name: string; readonly times: number; readonly run: (i: number) => void }[] = [
  {
    name: "decodes a block of 7 fields that repeats",
    times: 200_000,
    run: () => void repeated.decoder.decode(repeated.blocks[0]!),
  },
  {
    name: "decodes a block of 8 fields that differs",
    times: 100_000,
    run: (i) => void different.decoder.decode(different.blocks[i % VARIETY]!),
  },
  { name: "encodes 7 fields that repeat", times: 200_000, run: () => void encode(encoder, REPEATED) },
  { name: "encodes 8 fields that differ", times: 100_000, run: (i) => void encode(encoder, DIFFERENT[i % VARIETY]!) },
  { name: "reads 60 DATA frames of 1029 bytes", times: 10_000, run: () => void reader.receive(dataFrames) },
  { name: "reads 60 HEADERS frames of 40 bytes", times: 10_000, run: () => void reader.receive(headersFrames) },
  { name: "reads 60 WINDOW_UPDATE frames", times: 10_000, run: () => void reader.receive(windowUpdates) },
];

for (const row of rows) for (let i = 0; i < 2000; i++) row.run(i);
for (const row of rows) {
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage().user;
    for (let i = 0; i < row.times; i++) row.run(i);
    fastest = Math.min(fastest, ((process.cpuUsage().user - before) * 1000) / row.times);
  }
  console.log(`${fastest.toFixed(0).padStart(8)} ns  ${row.name}`);
}
if (seen === 0) throw new Error("the frame rows read nothing");
