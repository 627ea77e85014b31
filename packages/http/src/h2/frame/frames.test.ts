import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  ErrorCode,
  FrameError,
  type FrameEvents,
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
  Setting,
  writeContinuationHeader,
  writeDataHeader,
  writeGoAway,
  writeHeadersHeader,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "./index.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Writes what is heard as lines; data of a frame are joined, so that the cuts between reads do not show. */
class Listener implements FrameEvents {
  readonly lines: string[] = [];
  #data = "";

  onFrame({ type, flags, streamId }: FrameHeader, payload: Buffer): undefined {
    this.lines.push(`type ${type} flags ${flags} stream ${streamId} ${payload.toString("hex")}`);
  }

  onDataFrame({ length, flags, streamId }: FrameHeader): undefined {
    this.lines.push(`data ${length} flags ${flags} stream ${streamId}`);
  }

  onDataChunk(chunk: Buffer, last: boolean): undefined {
    this.#data += chunk.toString("hex");
    if (!last) return;
    this.lines.push(this.#data);
    this.#data = "";
  }
}

function heard(...pieces: readonly Buffer[]): (string | undefined)[] {
  const listener = new Listener();
  const reader = new FrameReader(listener);
  let error: FrameError | undefined;
  for (const piece of pieces) error ??= reader.receive(Buffer.from(piece));
  return [...listener.lines, error?.detail];
}

function payloadOf(wire: string): [FrameHeader, Buffer] {
  const frames: [FrameHeader, Buffer][] = [];
  const reader = new FrameReader({
    onFrame: (header, payload) => void frames.push([{ ...header }, Buffer.from(payload)]),
    onDataFrame: () => undefined,
    onDataChunk: () => undefined,
  });
  assert.equal(reader.receive(hex(wire)), undefined);
  assert.equal(frames.length, 1);
  return frames[0]!;
}

function refusal(result: unknown): string {
  assert.ok(result instanceof FrameError);
  return `${result.scope} ${result.code}`;
}

describe("frames are cut out of a stream", () => {
  const stream = Buffer.concat([
    hex("000000 04 00 00000000"),
    hex("000003 01 04 00000001 828684"),
    hex("000005 00 00 00000001 6865 6c6c6f"),
    hex("000008 00 09 00000001 03 61626364 000000"),
    hex("000000 00 01 00000003"),
    hex("000001 00 08 00000003 00"),
    hex("000008 06 00 00000000 0102030405060708"),
    hex("000002 fa ff 80000007 aabb"),
  ]);
  const lines = heard(stream);

  test("each with its header, data apart from their padding", () => {
    assert.deepEqual(lines, [
      "type 4 flags 0 stream 0 ",
      "type 1 flags 4 stream 1 828684",
      "data 5 flags 0 stream 1",
      "68656c6c6f",
      "data 8 flags 9 stream 1",
      "61626364",
      "data 0 flags 1 stream 3",
      "",
      "data 1 flags 8 stream 3",
      "",
      "type 6 flags 0 stream 0 0102030405060708",
      "type 250 flags 255 stream 7 aabb",
      undefined,
    ]);
  });

  test("wherever the reads are cut", () => {
    assert.deepEqual(heard(...Array.from(stream, (byte) => Buffer.from([byte]))), lines);
    for (let at = 1; at < stream.length; at++)
      assert.deepEqual(heard(stream.subarray(0, at), stream.subarray(at)), lines);
  });

  test("until one is too large, or padded with more than it has", () => {
    assert.deepEqual(heard(hex("004001 00 00 00000001")), ["a frame larger than SETTINGS_MAX_FRAME_SIZE"]);
    assert.deepEqual(heard(hex("000002 00 08 00000001 02 61")), [
      "data 2 flags 8 stream 1",
      "padding as long as the payload",
    ]);
    assert.deepEqual(heard(hex("000000 00 08 00000001"), stream), ["a padded DATA frame without its padding's length"]);
    assert.deepEqual(heard(hex("000001 00 00 00000000 61")), ["DATA on stream 0"]);
  });

  test("and nothing more once the listener has stopped the reader", () => {
    const seen: string[] = [];
    const reader = new FrameReader({
      onFrame: () => void seen.push("frame"),
      onDataFrame: () => {
        seen.push("data");
        reader.stop();
        return undefined;
      },
      onDataChunk: () => void seen.push("chunk"),
    });
    assert.equal(reader.receive(hex("000000 00 01 00000003 000000 04 00 00000000")), undefined);
    assert.deepEqual(seen, ["data"]);
  });
});

describe("what is written is read again", () => {
  const room = (): Buffer => Buffer.alloc(100);
  const written = (write: (into: Buffer) => number): [FrameHeader, Buffer] => {
    const into = room();
    const end = write(into);
    return payloadOf(into.toString("hex", 0, end));
  };
  const id = fc.integer({ min: 1, max: 0x7fff_ffff });
  const code = fc.integer({ min: 0, max: 0xffff_ffff });
  test("RST_STREAM, GOAWAY, WINDOW_UPDATE, PING, SETTINGS, with any numbers", () => {
    fc.assert(
      fc.property(id, code, fc.uint8Array({ minLength: 8, maxLength: 8 }), (stream, number, opaque) => {
        assert.deepEqual(readRstStream(...written((b) => writeRstStream(b, 0, stream, number))), { errorCode: number });
        const goAway = readGoAway(...written((b) => writeGoAway(b, 0, stream, number)));
        assert.ok(!(goAway instanceof FrameError));
        assert.deepEqual([goAway.lastStreamId, goAway.errorCode, goAway.debugData.length], [stream, number, 0]);
        assert.deepEqual(readWindowUpdate(...written((b) => writeWindowUpdate(b, 0, stream, stream))), {
          increment: stream,
        });
        const ping = readPing(...written((b) => writePing(b, 0, opaque, true)));
        assert.ok(!(ping instanceof FrameError));
        assert.deepEqual([ping.ack, Buffer.from(ping.opaque)], [true, Buffer.from(opaque)]);
        const settings = [
          [Setting.MaxConcurrentStreams, number],
          [0xabcd, number],
        ] as const;
        assert.deepEqual(readSettings(...written((b) => writeSettings(b, 0, settings))), { ack: false, settings });
      }),
      { numRuns: 300, seed: 5 },
    );
    assert.deepEqual(readSettings(...written((b) => writeSettingsAck(b, 0))), { ack: true, settings: [] });
  });

  test("the headers of DATA, HEADERS and CONTINUATION", () => {
    const headers = room();
    headers.write("abc", writeHeadersHeader(headers, 0, 5, 3, true, false));
    assert.deepEqual(readHeaders(...payloadOf(headers.toString("hex", 0, 12))), {
      fragment: Buffer.from("abc"),
      endStream: true,
      endHeaders: false,
      dependsOn: undefined,
    });
    headers.write("de", writeContinuationHeader(headers, 0, 5, 2, true));
    assert.deepEqual(readContinuation(...payloadOf(headers.toString("hex", 0, 11))), {
      fragment: Buffer.from("de"),
      endHeaders: true,
    });
    headers.write("f", writeDataHeader(headers, 0, 7, 1, true));
    assert.deepEqual(heard(headers.subarray(0, 10)), ["data 1 flags 1 stream 7", "66", undefined]);
  });
});

describe("a frame is refused", () => {
  const connection = (code: number): string => `connection ${code}`;
  const rows: readonly (readonly [why: string, expected: string, read: () => unknown])[] = [
    [
      "SETTINGS_ENABLE_PUSH of 2",
      connection(ErrorCode.ProtocolError),
      () => readSettings(...payloadOf("000006 04 00 00000000 0002 00000002")),
    ],
    [
      "a window beyond 2^31 - 1",
      connection(ErrorCode.FlowControlError),
      () => readSettings(...payloadOf("000006 04 00 00000000 0004 80000000")),
    ],
    [
      "a frame size below 2^14",
      connection(ErrorCode.ProtocolError),
      () => readSettings(...payloadOf("000006 04 00 00000000 0005 00003fff")),
    ],
    [
      "a frame size above 2^24 - 1",
      connection(ErrorCode.ProtocolError),
      () => readSettings(...payloadOf("000006 04 00 00000000 0005 01000000")),
    ],
    [
      "SETTINGS_ENABLE_CONNECT_PROTOCOL of 2",
      connection(ErrorCode.ProtocolError),
      () => readSettings(...payloadOf("000006 04 00 00000000 0008 00000002")),
    ],
    [
      "WINDOW_UPDATE of 0 for the connection",
      connection(ErrorCode.ProtocolError),
      () => readWindowUpdate(...payloadOf("000004 08 00 00000000 00000000")),
    ],
    [
      "WINDOW_UPDATE of 0 for a stream, which ends the stream alone",
      `stream ${ErrorCode.ProtocolError}`,
      () => readWindowUpdate(...payloadOf("000004 08 00 00000001 80000000")),
    ],
    [
      "PRIORITY of four bytes, which ends the stream alone",
      `stream ${ErrorCode.FrameSizeError}`,
      () => readPriority(...payloadOf("000004 02 00 00000001 00000000")),
    ],
    [
      "HEADERS without room for their priority",
      connection(ErrorCode.FrameSizeError),
      () => readHeaders(...payloadOf("000004 01 24 00000001 00000000")),
    ],
    [
      "HEADERS padded beyond their priority",
      connection(ErrorCode.ProtocolError),
      () => readHeaders(...payloadOf("000007 01 2c 00000001 02 00000000 10 00")),
    ],
    [
      "PUSH_PROMISE without room for its stream",
      connection(ErrorCode.FrameSizeError),
      () => readPushPromise(...payloadOf("000003 05 04 00000001 000000")),
    ],
    [
      "CONTINUATION on stream 0",
      connection(ErrorCode.ProtocolError),
      () => readContinuation(...payloadOf("000000 09 04 00000000")),
    ],
  ];
  for (const [why, expected, read] of rows) test(why, () => assert.equal(refusal(read()), expected));
});

test("no bytes make the reader throw, hang, or hold more than a frame", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), (pieces) => {
      const reader = new FrameReader({
        onFrame(header, payload) {
          const { type } = header;
          if (type === FrameType.Headers) readHeaders(header, payload);
          else if (type === FrameType.Settings) readSettings(header, payload);
          return undefined;
        },
        onDataFrame: () => undefined,
        onDataChunk: () => undefined,
      });
      for (const piece of pieces) if (reader.receive(Buffer.from(piece)) !== undefined) return;
    }),
    { numRuns: 2000, seed: 9 },
  );
});
