import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { checkCutsOf } from "../fuzz/h2-mutants.ts";
import { eventually } from "../harness/eventually.ts";
import { startUnderAttack, type UnderAttack } from "../harness/h2-under-attack.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer } from "../harness/raw-peer.ts";
import { vectors } from "./vectors.ts";

interface Case {
  readonly file: string;
  readonly b64: string;
}

/** Byte streams of clients: those of h2spec, and a few of nghttp. */
const { cases }: { cases: readonly Case[] } =
  vectors.skip === false
    ? JSON.parse(readFileSync(vectors.file("h2-corpus/nghttp2-fuzz-corpus.json"), "utf8"))
    : { cases: [] };

describe("136 byte streams of HTTP/2 clients, good and bad", { skip: vectors.skip }, () => {
  const suite = lastFirst({ after });
  let attacked: UnderAttack;
  before(async () => {
    attacked = await startUnderAttack(suite);
  });

  for (const way of ["whole", "in pieces", "byte by byte"] as const) {
    test(`a sidecar that gets each ${way} ends it when its client does, and serves the next`, async () => {
      let next = 0;
      const work = async (): Promise<void> => {
        for (let found = cases[next++]; found !== undefined; found = cases[next++]) await replay(found, way);
      };
      await Promise.all(Array.from({ length: 16 }, work));
      await attacked.checkHealth();
      await eventually("nothing is left of them", async () => {
        return (await attacked.sidecar.stat("http.in.downstream_cx_active")) === 0;
      });
      assert.equal(await attacked.sidecar.stat("http2.streams_active"), 0);
      assert.equal(await attacked.sidecar.stat("http.in.internal_error"), 0);
    });
  }

  test("the codec decides the same of each however its bytes are cut", () => {
    for (const { file, b64 } of cases) checkCutsOf(Buffer.from(b64, "base64"), file);
  });

  async function replay({ file, b64 }: Case, way: "whole" | "in pieces" | "byte by byte"): Promise<void> {
    const ends: (() => unknown)[] = [];
    const peer = await RawPeer.connect(attacked.port, { after: (end) => void ends.push(end) });
    const bytes = Buffer.from(b64, "base64");
    const size = way === "whole" ? bytes.length : way === "in pieces" ? 13 : 1;
    for (let at = 0; at < bytes.length && !peer.ended; at += size) {
      void peer.send(bytes.subarray(at, at + size));
      if (size > 1) await new Promise(setImmediate);
    }
    peer.end();
    await peer.readToEnd().catch((error: Error) => assert.fail(`${file}: ${error.message}`));
    for (const end of ends) end();
  }
});
