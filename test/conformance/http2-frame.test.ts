import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  FrameError,
  type FrameHeader,
  FrameReader,
  FrameType,
  readContinuation,
  readGoAway,
  readHeaders,
  readPing,
  readPriority,
  readPushPromise,
  readRstStream,
  readSettings,
  readWindowUpdate,
} from "@heddle/http/testing";
import { vectors } from "./vectors.ts";

interface Case {
  readonly file: string;
  readonly description: string;
  readonly wire: string;
  /** Error codes, any of which is right; null for a good frame. */
  readonly error: readonly number[] | null;
  readonly frame: { readonly frame_payload: Readonly<Record<string, unknown>> } | null;
}

const READERS: Readonly<Record<number, (header: FrameHeader, payload: Uint8Array) => object>> = {
  [FrameType.Headers]: readHeaders,
  [FrameType.Priority]: readPriority,
  [FrameType.RstStream]: readRstStream,
  [FrameType.Settings]: readSettings,
  [FrameType.PushPromise]: readPushPromise,
  [FrameType.Ping]: readPing,
  [FrameType.GoAway]: readGoAway,
  [FrameType.WindowUpdate]: readWindowUpdate,
  [FrameType.Continuation]: readContinuation,
};

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

/** The frame's fields under the vectors' names, or the error. Views are read before the bytes go. */
function decode(wire: Buffer): Record<string, unknown> | FrameError {
  let found: Record<string, unknown> | FrameError | undefined;
  let data = "";
  const reader = new FrameReader({
    onFrame(header, payload) {
      const frame = READERS[header.type]!(header, payload);
      found = frame instanceof FrameError ? frame : inTheirWords(frame as Readonly<Record<string, unknown>>);
      return undefined;
    },
    onDataFrame: () => undefined,
    onDataChunk(chunk) {
      data += latin1(chunk);
      found = { data };
      return undefined;
    },
  });
  const error = reader.receive(wire);
  assert.ok(error !== undefined || found !== undefined);
  return error ?? found!;
}

function inTheirWords(frame: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const words: Record<string, unknown> = {};
  if (frame["fragment"] instanceof Uint8Array) words["header_block_fragment"] = latin1(frame["fragment"]);
  if (frame["opaque"] instanceof Uint8Array) words["opaque_data"] = latin1(frame["opaque"]);
  if (frame["debugData"] instanceof Uint8Array) words["additional_debug_data"] = latin1(frame["debugData"]);
  const names = {
    errorCode: "error_code",
    lastStreamId: "last_stream_id",
    increment: "window_size_increment",
    promisedStreamId: "promised_stream_id",
    dependsOn: "stream_dependency",
    exclusive: "exclusive",
    weight: "weight",
    settings: "settings",
  };
  for (const [ours, theirs] of Object.entries(names)) if (frame[ours] !== undefined) words[theirs] = frame[ours];
  return words;
}

describe("HTTP/2 frames: 34 of them, good and bad", { skip: vectors.skip }, () => {
  const { cases }: { cases: readonly Case[] } =
    vectors.skip === false ? JSON.parse(readFileSync(vectors.file("http2-frame/frames.json"), "utf8")) : { cases: [] };
  for (const { file, description, wire, error, frame } of cases) {
    test(`${file}: ${description}`, () => {
      const decoded = decode(Buffer.from(wire, "hex"));
      if (error !== null) {
        assert.ok(decoded instanceof FrameError, JSON.stringify(decoded));
        assert.ok(error.includes(decoded.code), `${decoded.code}: ${decoded.detail}`);
        return;
      }
      assert.ok(!(decoded instanceof FrameError), JSON.stringify(decoded));
      const expected = frame!.frame_payload; // a good frame has one
      assert.ok(Object.keys(decoded).length > 0);
      for (const [name, value] of Object.entries(decoded)) assert.deepEqual(value, expected[name], name);
    });
  }
});
