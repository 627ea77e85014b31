import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { HpackDecoder, HpackEncoder, HpackError } from "@heddle/http/testing";
import { vectors } from "./vectors.ts";

interface Case {
  readonly seqno: number;
  readonly header_table_size?: number | null;
  readonly wire: string;
  readonly headers: readonly Readonly<Record<string, string>>[];
}

const LIMITS = { maxListSize: 1 << 20, maxCount: 10_000 };

/** 755 header blocks by 14 encoders; the blocks of a story share their tables. */
describe("HPACK: what other encoders write", { skip: vectors.skip }, () => {
  for (const file of vectors.skip === false ? readdirSync(vectors.file("hpack")) : []) {
    const stories: readonly { readonly cases: readonly Case[] }[] = JSON.parse(
      readFileSync(vectors.file(`hpack/${file}`), "utf8"),
    );
    test(`${file} decodes exactly, and what we encode of it decodes again`, () => {
      let blocks = 0;
      for (const { cases } of stories) {
        const decoder = new HpackDecoder({ ...LIMITS, maxTableSize: cases[0]?.header_table_size ?? 4096 });
        const [encoder, ours] = [new HpackEncoder(), new HpackDecoder(LIMITS)];
        for (const { seqno, header_table_size: tableSize, wire, headers } of cases) {
          const fields = headers.flatMap((header) => Object.entries(header).flat());
          if (typeof tableSize === "number") decoder.allowTableSize(tableSize);
          if (wire !== undefined) {
            const decoded = decoder.decode(Buffer.from(wire, "hex"));
            assert.ok(!(decoded instanceof HpackError), `${file} ${seqno}: ${JSON.stringify(decoded)}`);
            assert.deepEqual(decoded.fields, fields, `${file} ${seqno}`);
          }
          encoder.begin();
          for (let i = 0; i < fields.length; i += 2) encoder.add(fields[i]!, fields[i + 1]!);
          const again = ours.decode(encoder.end());
          assert.ok(!(again instanceof HpackError));
          assert.deepEqual(again.fields, fields, `our own, ${file} ${seqno}`);
          blocks++;
        }
      }
      assert.ok(blocks > 0);
    });
  }
});
