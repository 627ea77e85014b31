import { ErrorCode, Flag, FrameType, Setting } from "@heddle/http/testing";
import {
  block,
  continuation,
  data,
  type Fields,
  frame,
  goAway,
  headers,
  integer,
  ping,
  priority,
  request,
  rstStream,
  settings,
  string,
  uint32,
  windowUpdate,
} from "../harness/h2-frames.ts";
import type { H2Peer } from "../harness/h2-peer.ts";

/** What must come of it. */
export type Verdict =
  /** A response on the stream, and the connection goes on. */
  | { readonly type: "answered"; readonly streamId: number; readonly status: number }
  /** The connection goes on. */
  | { readonly type: "ignored" }
  /** RST_STREAM with one of the codes, and the connection goes on (RFC 9113 §5.4.2). */
  | { readonly type: "stream error"; readonly streamId: number; readonly codes: readonly number[] }
  /** The message breaks §8: its stream ends with PROTOCOL_ERROR, or its connection where the listener says so. */
  | { readonly type: "malformed"; readonly streamId: number }
  /** GOAWAY with one of the codes, and the connection ends (RFC 9113 §5.4.1). */
  | { readonly type: "connection error"; readonly codes: readonly number[] };

export interface Section {
  /** "9113 §5.1", "7541 §2.3.3" */
  readonly section: string;
  readonly what: string;
  /** Sends it on a connection that has just begun. */
  readonly run: (peer: H2Peer) => Promise<unknown>;
  readonly verdict: Verdict;
  /** More that must hold once the verdict has come. */
  readonly check?: (peer: H2Peer) => string | undefined;
}

const IGNORED: Verdict = { type: "ignored" };
const connectionError = (...codes: readonly number[]): Verdict => ({ type: "connection error", codes });
const streamError = (streamId: number, ...codes: readonly number[]): Verdict => ({
  type: "stream error",
  streamId,
  codes,
});
const { CompressionError, FlowControlError, FrameSizeError, ProtocolError, RefusedStream, StreamClosed } = ErrorCode;
const MALFORMED: Verdict = { type: "malformed", streamId: 1 };
const answered = (status: number): Verdict => ({ type: "answered", streamId: 1, status });
const ANSWERED = answered(200);

type Row = readonly [what: string, run: Section["run"], verdict: Verdict, check?: Section["check"]];

const send =
  (...parts: readonly Buffer[]): Section["run"] =>
  (peer) =>
    peer.send(...parts);

/** Behind the end of the exchange on stream 1. */
const afterAnswer =
  (...parts: readonly Buffer[]): Section["run"] =>
  async (peer) => {
    await peer.send(headers(1, request()));
    await peer.response(1);
    await peer.send(...parts);
  };

const OPEN: readonly Buffer[] = [headers(1, request("/", [], "POST"), { endStream: false })];
const withRequest = (fields: Fields): Section["run"] => send(headers(1, fields));
const withBlock = (...parts: readonly Uint8Array[]): Section["run"] => send(headers(1, Buffer.concat(parts)));
const REQUEST_BLOCK = block(request());
/** It is not answered before it is complete: `/wait` answers once the body has come. */
const post = (more: Fields = [], path = "/"): Buffer => headers(1, request(path, more, "POST"), { endStream: false });
const padded = (length: number, content: Uint8Array | string, padding = length): Buffer =>
  Buffer.concat([Buffer.of(length), Buffer.from(content), Buffer.alloc(padding)]);
/** Of priority fields. */
const dependency = (dependsOn: number, weight = 16): Buffer =>
  Buffer.concat([uint32(dependsOn), Buffer.of(weight - 1)]);
const without = (name: string): Fields => request().filter(([found]) => found !== name);
const instead = (name: string, value: string): Fields =>
  request().map(([found, before]) => [found, found === name ? value : before] as const);
const wrote = (streamId: number, bytes: number) => (peer: H2Peer) =>
  peer.message(streamId).bodyBytes === bytes ? undefined : `${peer.message(streamId).bodyBytes} bytes came`;
const MOST = 0x7fff_ffff;

/** Of RFC 9113, by section. */
const frames: Readonly<Record<string, readonly Row[]>> = {
  "§3.4": [
    ["a request right behind the preface", send(headers(1, request())), ANSWERED],
    [
      "SETTINGS come first, and ours are acknowledged",
      send(headers(1, request())),
      ANSWERED,
      (peer) => {
        const first = peer.frames[0];
        if (first?.type !== FrameType.Settings || first.flags !== 0) return "the first frame is not SETTINGS";
        const acked = peer.frames.some(({ type, flags }) => type === FrameType.Settings && flags === Flag.Ack);
        return acked ? undefined : "no acknowledgement";
      },
    ],
  ],
  "§4.1": [
    ["a frame of an unknown type", send(frame(0x16, 0, 0, Buffer.alloc(8))), IGNORED],
    ["a frame of an unknown type on a stream", send(...OPEN, frame(0xee, 0xff, 1, "x"), data(1, "a", true)), ANSWERED],
    [
      "flags that nobody has defined",
      send(ping(Buffer.alloc(8), 0xfe)),
      IGNORED,
      (peer) => (peer.frames.some(({ type }) => type === FrameType.Ping) ? undefined : "no PING"),
    ],
    ["the reserved bit before the stream", send(frame(FrameType.Ping, 0, 0x8000_0000, Buffer.alloc(8))), IGNORED],
    ["the reserved bit in a request's HEADERS", send(headers(0x8000_0001, request())), ANSWERED],
  ],
  "§4.2": [
    ["DATA of 2^14 octets", send(...OPEN, data(1, Buffer.alloc(16_384), true)), ANSWERED],
    ["DATA larger than the limit", send(...OPEN, data(1, Buffer.alloc(16_385), true)), connectionError(FrameSizeError)],
    [
      "HEADERS larger than the limit",
      send(headers(1, request("/", [["x", "y".repeat(16_500)]]))),
      connectionError(FrameSizeError),
    ],
    [
      "an unknown frame larger than the limit",
      send(frame(0x40, 0, 0, Buffer.alloc(16_385))),
      connectionError(FrameSizeError),
    ],
  ],
  "§4.3": [
    ["a block that cannot be decoded", withBlock(Buffer.of(0x40)), connectionError(CompressionError)],
    [
      "PRIORITY within a block",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), priority(1, 0), continuation(1, "")),
      connectionError(ProtocolError),
    ],
    [
      "HEADERS of another stream within a block",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), headers(3, request())),
      connectionError(ProtocolError),
    ],
    [
      "PING within a block",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), ping(Buffer.alloc(8))),
      connectionError(ProtocolError),
    ],
  ],
  "§5.1": [
    ["idle: DATA", send(data(1, "a", true)), connectionError(ProtocolError)],
    ["idle: RST_STREAM", send(rstStream(1, 8)), connectionError(ProtocolError)],
    ["idle: WINDOW_UPDATE", send(windowUpdate(1, 100)), connectionError(ProtocolError)],
    ["idle: CONTINUATION", send(continuation(1, REQUEST_BLOCK)), connectionError(ProtocolError)],
    ["idle: PRIORITY", send(priority(1, 0), headers(1, request())), ANSWERED],
    ["idle of the server: DATA", send(data(2, "a", true)), connectionError(ProtocolError)],
    ["idle of the server: WINDOW_UPDATE", send(windowUpdate(2, 1)), connectionError(ProtocolError)],
    [
      "half-closed (remote): DATA",
      send(headers(1, request("/wait")), data(1, "a", true)),
      streamError(1, StreamClosed),
    ],
    [
      "half-closed (remote): HEADERS",
      send(headers(1, request("/wait")), headers(1, request())),
      streamError(1, StreamClosed),
    ],
    [
      "half-closed (remote): CONTINUATION",
      send(headers(1, request("/wait")), continuation(1, REQUEST_BLOCK)),
      connectionError(ProtocolError),
    ],
    ["half-closed (remote): WINDOW_UPDATE", send(headers(1, request()), windowUpdate(1, 100)), ANSWERED],
    ["half-closed (remote): PRIORITY", send(headers(1, request()), priority(1, 0)), ANSWERED],
    ["half-closed (remote): RST_STREAM", send(headers(1, request("/wait")), rstStream(1, 8)), IGNORED],
    ["closed by RST_STREAM: DATA", send(...OPEN, rstStream(1, 8), data(1, "a", true)), streamError(1, StreamClosed)],
    [
      "closed by RST_STREAM: HEADERS",
      send(...OPEN, rstStream(1, 8), headers(1, request())),
      streamError(1, StreamClosed),
    ],
    [
      "closed by RST_STREAM: CONTINUATION",
      send(...OPEN, rstStream(1, 8), continuation(1, REQUEST_BLOCK)),
      connectionError(ProtocolError),
    ],
    ["closed by RST_STREAM: PRIORITY", send(...OPEN, rstStream(1, 8), priority(1, 0)), IGNORED],
    ["closed by RST_STREAM: WINDOW_UPDATE", send(...OPEN, rstStream(1, 8), windowUpdate(1, 1)), IGNORED],
    ["closed: DATA", afterAnswer(data(1, "a", true)), connectionError(StreamClosed)],
    ["closed: HEADERS", afterAnswer(headers(1, request())), connectionError(StreamClosed)],
    ["closed: CONTINUATION", afterAnswer(continuation(1, REQUEST_BLOCK)), connectionError(ProtocolError)],
    ["closed: PRIORITY", afterAnswer(priority(1, 0)), IGNORED],
    ["closed: WINDOW_UPDATE", afterAnswer(windowUpdate(1, 1)), IGNORED],
    ["closed: RST_STREAM", afterAnswer(rstStream(1, 8)), IGNORED],
  ],
  "§5.1.1": [
    ["a stream with an even number", send(headers(2, request())), connectionError(ProtocolError)],
    ["a stream below the last one", send(headers(5, request()), headers(3, request())), connectionError(ProtocolError)],
    ["streams may be left out", send(headers(99, request())), { type: "answered", streamId: 99, status: 200 }],
    ["the highest stream", send(headers(MOST, request())), { type: "answered", streamId: MOST, status: 200 }],
  ],
  "§5.1.2": [
    [
      "one stream more than we allow",
      (peer) =>
        peer.send(...Array.from({ length: 101 }, (_, i) => headers(1 + i * 2, request("/wait"), { endStream: false }))),
      streamError(201, RefusedStream),
    ],
  ],
  "§5.2": [
    [
      "a response is not longer than the window",
      async (peer) => {
        await peer.send(settings([Setting.InitialWindowSize, 1]), headers(1, request("/bytes/5")));
        await peer.frame(FrameType.Data, 1);
      },
      IGNORED,
      (peer) => {
        const first = peer.frames.find(({ type }) => type === FrameType.Data);
        return first?.payload.length === 1 ? undefined : `${first?.payload.length} bytes`;
      },
    ],
  ],
  "§5.3": [
    [
      "HEADERS of a stream that depends on itself",
      send(frame(FrameType.Headers, 0x25, 1, Buffer.concat([dependency(1), REQUEST_BLOCK]))),
      streamError(1, ProtocolError),
    ],
    ["PRIORITY of a stream that depends on itself", send(...OPEN, priority(1, 1)), streamError(1, ProtocolError)],
    ["PRIORITY of weight 1 and 256", send(priority(1, 0, 1), priority(1, 0, 256), headers(1, request())), ANSWERED],
    ["PRIORITY that is exclusive", send(priority(1, 0x8000_0000), headers(1, request())), ANSWERED],
    ["PRIORITY of a higher stream, then a lower one", send(priority(5, 0), headers(1, request())), ANSWERED],
  ],
  "§5.4.1": [
    ["a connection error ends the connection", send(ping("short")), connectionError(FrameSizeError)],
    [
      "what is behind a connection error is not served",
      send(ping("short"), headers(1, request())),
      connectionError(FrameSizeError),
      (peer) => (peer.message(1).fields === undefined ? undefined : "it was answered"),
    ],
  ],
  "§5.5": [
    ["an unknown frame between HEADERS and DATA", send(...OPEN, frame(0x77, 0, 1, "x"), data(1, "", true)), ANSWERED],
    [
      "an unknown frame within a block",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), frame(0x77, 0, 1, "x"), continuation(1, "")),
      connectionError(ProtocolError),
    ],
  ],
  "§6.1": [
    ["DATA on stream 0", send(data(0, "a", true)), connectionError(ProtocolError)],
    ["DATA", send(...OPEN, data(1, "test", true)), ANSWERED],
    ["several DATA", send(...OPEN, data(1, "te"), data(1, "st", true)), ANSWERED],
    ["DATA with padding", send(...OPEN, frame(FrameType.Data, 0x9, 1, padded(6, "test"))), ANSWERED],
    ["DATA of padding alone", send(...OPEN, frame(FrameType.Data, 0x9, 1, padded(6, ""))), ANSWERED],
    [
      "padding as long as the frame",
      send(...OPEN, frame(FrameType.Data, 0x9, 1, padded(5, "test", 0))),
      connectionError(ProtocolError),
    ],
    ["padded DATA without a length", send(...OPEN, frame(FrameType.Data, 0x9, 1)), connectionError(FrameSizeError)],
  ],
  "§6.2": [
    ["HEADERS on stream 0", send(headers(0, request())), connectionError(ProtocolError)],
    ["HEADERS with padding", send(frame(FrameType.Headers, 0xd, 1, padded(8, REQUEST_BLOCK))), ANSWERED],
    [
      "HEADERS with priority",
      send(frame(FrameType.Headers, 0x25, 1, Buffer.concat([dependency(0), REQUEST_BLOCK]))),
      ANSWERED,
    ],
    [
      "HEADERS with both",
      send(frame(FrameType.Headers, 0x2d, 1, padded(3, Buffer.concat([dependency(0), REQUEST_BLOCK])))),
      ANSWERED,
    ],
    [
      "padding longer than the frame",
      send(frame(FrameType.Headers, 0xd, 1, padded(255, REQUEST_BLOCK, 0))),
      connectionError(ProtocolError),
    ],
    [
      "HEADERS too short for their priority",
      send(frame(FrameType.Headers, 0x25, 1, "abc")),
      connectionError(FrameSizeError),
    ],
  ],
  "§6.3": [
    ["PRIORITY on stream 0", send(priority(0, 1)), connectionError(ProtocolError)],
    ["PRIORITY of 4 octets", send(...OPEN, frame(FrameType.Priority, 0, 1, "abcd")), streamError(1, FrameSizeError)],
  ],
  "§6.4": [
    ["RST_STREAM on stream 0", send(rstStream(0, 8)), connectionError(ProtocolError)],
    ["RST_STREAM", send(...OPEN, rstStream(1, 8)), IGNORED],
    ["RST_STREAM of 3 octets", send(...OPEN, frame(FrameType.RstStream, 0, 1, "abc")), connectionError(FrameSizeError)],
  ],
  "§6.5": [
    [
      "SETTINGS that acknowledge with a payload",
      send(frame(4, 1, 0, Buffer.alloc(6))),
      connectionError(FrameSizeError),
    ],
    ["SETTINGS on a stream", send(frame(FrameType.Settings, 0, 1)), connectionError(ProtocolError)],
    ["SETTINGS of 3 octets", send(frame(FrameType.Settings, 0, 0, "abc")), connectionError(FrameSizeError)],
    [
      "each SETTINGS is acknowledged",
      send(settings(), settings([Setting.MaxConcurrentStreams, 10])),
      IGNORED,
      (peer) => {
        const acks = peer.frames.filter(({ type, flags }) => type === FrameType.Settings && flags === Flag.Ack).length;
        return acks === 3 ? undefined : `${acks} of 3`;
      },
    ],
  ],
  "§6.5.2": [
    ["SETTINGS_ENABLE_PUSH of 2", send(settings([Setting.EnablePush, 2])), connectionError(ProtocolError)],
    ["SETTINGS_INITIAL_WINDOW_SIZE of 2^31", send(settings([4, 2 ** 31])), connectionError(FlowControlError)],
    ["SETTINGS_MAX_FRAME_SIZE below 2^14", send(settings([5, 16_383])), connectionError(ProtocolError)],
    ["SETTINGS_MAX_FRAME_SIZE of 2^24", send(settings([5, 2 ** 24])), connectionError(ProtocolError)],
    ["an unknown setting", send(settings([0xff, 1])), IGNORED],
    ["SETTINGS_ENABLE_CONNECT_PROTOCOL of 2 (RFC 8441 §3)", send(settings([8, 2])), connectionError(ProtocolError)],
  ],
  "§6.5.3": [
    [
      "the last of several values of SETTINGS_INITIAL_WINDOW_SIZE counts",
      async (peer) => {
        peer.polite = false;
        await peer.send(settings([4, 100], [4, 1]), headers(1, request("/bytes/5")));
        await peer.frame(FrameType.Data, 1);
      },
      IGNORED,
      wrote(1, 1),
    ],
  ],
  "§6.6": [
    [
      "PUSH_PROMISE of a client",
      send(...OPEN, frame(FrameType.PushPromise, 4, 1, Buffer.concat([uint32(2), REQUEST_BLOCK]))),
      connectionError(ProtocolError),
    ],
  ],
  "§6.7": [
    [
      "PING is answered with its bytes",
      send(ping("heddle!!")),
      IGNORED,
      (peer) =>
        peer.frames.some(({ type, flags, payload }) => type === 6 && flags === 1 && String(payload) === "heddle!!")
          ? undefined
          : "it is not",
    ],
    [
      "PING that acknowledges is not answered",
      send(ping("heddle!!", Flag.Ack)),
      IGNORED,
      (peer) => (peer.frames.some(({ payload }) => String(payload) === "heddle!!") ? "it is" : undefined),
    ],
    ["PING on a stream", send(frame(FrameType.Ping, 0, 1, Buffer.alloc(8))), connectionError(ProtocolError)],
    ["PING of 6 octets", send(ping("abcdef")), connectionError(FrameSizeError)],
  ],
  "§6.8": [
    ["GOAWAY on a stream", send(frame(FrameType.GoAway, 0, 1, Buffer.alloc(8))), connectionError(ProtocolError)],
    ["GOAWAY too short", send(frame(FrameType.GoAway, 0, 0, Buffer.alloc(7))), connectionError(FrameSizeError)],
    ["a request behind its client's GOAWAY", send(goAway(0, 0), headers(1, request())), ANSWERED],
  ],
  "§6.9": [
    ["WINDOW_UPDATE of 0 on the connection", send(windowUpdate(0, 0)), connectionError(ProtocolError)],
    ["WINDOW_UPDATE of 0 on a stream", send(post([], "/wait"), windowUpdate(1, 0)), streamError(1, ProtocolError)],
    ["WINDOW_UPDATE of 3 octets", send(frame(FrameType.WindowUpdate, 0, 0, "abc")), connectionError(FrameSizeError)],
    ["WINDOW_UPDATE of 3 octets on a stream", send(...OPEN, frame(8, 0, 1, "abc")), connectionError(FrameSizeError)],
    ["WINDOW_UPDATE with the reserved bit", send(frame(8, 0, 0, uint32(0x8000_0001))), IGNORED],
  ],
  "§6.9.1": [
    ["the connection's window above 2^31-1", send(windowUpdate(0, MOST)), connectionError(FlowControlError)],
    [
      "a stream's window above 2^31-1",
      send(post([], "/wait"), windowUpdate(1, MOST)),
      streamError(1, FlowControlError),
    ],
    [
      "DATA beyond the stream's window",
      async (peer) => {
        await peer.send(post([], "/deaf"), ...Array.from({ length: 1000 }, () => data(1, Buffer.alloc(16_384))));
      },
      streamError(1, FlowControlError),
    ],
    [
      "padding counts for the window",
      async (peer) => {
        peer.polite = false;
        await peer.send(post([], "/wait"), ...Array.from({ length: 300 }, () => frame(0, 8, 1, padded(200, "x"))));
        await peer.send(data(1, "", true));
        await peer.response(1);
      },
      ANSWERED,
      (peer) =>
        peer.frames.some(({ type, streamId }) => type === FrameType.WindowUpdate && streamId === 1)
          ? undefined
          : "the window was not given back",
    ],
  ],
  "§6.9.2": [
    [
      "a change of SETTINGS_INITIAL_WINDOW_SIZE holds for open streams",
      async (peer) => {
        peer.polite = false;
        await peer.send(settings([4, 0]), headers(1, request("/bytes/5")));
        await peer.until("the head comes", () => peer.message(1).fields !== undefined);
        await peer.send(settings([4, 1]));
        await peer.frame(FrameType.Data, 1);
      },
      IGNORED,
      wrote(1, 1),
    ],
    [
      "a window that is negative must grow before anything is sent",
      async (peer) => {
        peer.polite = false;
        await peer.send(settings([4, 3]), headers(1, request("/bytes/20")));
        await peer.until("three bytes come", () => peer.message(1).bodyBytes === 3);
        await peer.send(settings([4, 1]), windowUpdate(1, 2));
        await peer.alive();
        if (peer.message(1).bodyBytes !== 3) throw new Error("DATA beyond the window");
        await peer.send(windowUpdate(1, 1));
        await peer.until("one byte more comes", () => peer.message(1).bodyBytes === 4);
      },
      IGNORED,
      wrote(1, 4),
    ],
    [
      "a change that makes an open window larger than 2^31-1",
      send(post([], "/wait"), windowUpdate(1, MOST - 65_535), settings([4, 65_536])),
      connectionError(FlowControlError),
    ],
  ],
  "§6.10": [
    [
      "several CONTINUATION",
      send(
        headers(1, REQUEST_BLOCK.subarray(0, 7), { endHeaders: false }),
        continuation(1, REQUEST_BLOCK.subarray(7, 20), false),
        continuation(1, REQUEST_BLOCK.subarray(20)),
      ),
      ANSWERED,
    ],
    [
      "CONTINUATION, then DATA before the block ends",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), continuation(1, "x", false), data(1, "a", true)),
      connectionError(ProtocolError),
    ],
    [
      "CONTINUATION on stream 0",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), continuation(0, "")),
      connectionError(ProtocolError),
    ],
    ["CONTINUATION behind END_HEADERS", send(...OPEN, continuation(1, REQUEST_BLOCK)), connectionError(ProtocolError)],
    [
      "CONTINUATION behind a CONTINUATION with END_HEADERS",
      send(
        headers(1, REQUEST_BLOCK, { endHeaders: false, endStream: false }),
        continuation(1, block([["x", "y"]])),
        continuation(1, block([["x", "y"]])),
      ),
      connectionError(ProtocolError),
    ],
    ["CONTINUATION behind DATA", send(...OPEN, data(1, "a"), continuation(1, "")), connectionError(ProtocolError)],
    [
      "CONTINUATION of another stream",
      send(headers(1, REQUEST_BLOCK, { endHeaders: false }), continuation(3, "")),
      connectionError(ProtocolError),
    ],
  ],
  "§7": [
    ["GOAWAY with an unknown code", send(goAway(0, 0xff)), IGNORED],
    ["RST_STREAM with an unknown code", send(...OPEN, rstStream(1, 0xff)), IGNORED],
  ],
};

/** Of RFC 9113 §8: messages. */
const messages: Readonly<Record<string, readonly Row[]>> = {
  "§8.1": [
    ["GET", withRequest(request()), ANSWERED],
    ["HEAD has no body", withRequest(request("/bytes/9", [], "HEAD")), ANSWERED, wrote(1, 0)],
    ["POST", send(...OPEN, data(1, "test", true)), ANSWERED],
    ["POST with trailers", send(...OPEN, data(1, "test"), headers(1, [["x-trailer", "y"]])), ANSWERED],
    [
      "HEADERS behind the head without END_STREAM",
      send(post([], "/wait"), headers(1, [["x", "y"]], { endStream: false })),
      MALFORMED,
    ],
    ["a pseudo-field in trailers", send(post([], "/wait"), headers(1, [[":method", "GET"]])), MALFORMED],
    ["a status in trailers", send(post([], "/wait"), headers(1, [[":status", "200"]])), MALFORMED],
  ],
  "§8.1.1": [
    [
      "a content-length above the body",
      send(post([["content-length", "5"]], "/wait"), data(1, "four", true)),
      MALFORMED,
    ],
    [
      "a content-length below the body",
      send(post([["content-length", "1"]], "/wait"), data(1, "test", true)),
      MALFORMED,
    ],
    [
      "a content-length that differs from the sum of several DATA",
      send(post([["content-length", "5"]], "/wait"), data(1, "te"), data(1, "st", true)),
      MALFORMED,
    ],
    ["a content-length and no DATA", withRequest(request("/wait", [["content-length", "5"]])), MALFORMED],
    [
      "a content-length above the body before trailers",
      send(post([["content-length", "5"]], "/wait"), data(1, "four"), headers(1, [["x", "y"]])),
      MALFORMED,
    ],
    ["a content-length of 0 with END_STREAM", withRequest(request("/", [["content-length", "0"]])), ANSWERED],
  ],
  "§8.2.1": [
    ["a name with a capital", withRequest(request("/", [["X-Test", "y"]])), MALFORMED],
    ...["\0", "\x01", "\n", "\r", " ", "\t", "\x7f", "\x80", "\xff", ":", "(", '"', "/", "@"].map(
      (byte): Row => [`${JSON.stringify(byte)} in a name`, withRequest(request("/", [[`x${byte}y`, "z"]])), MALFORMED],
    ),
    ["an empty name", withRequest(request("/", [["", "z"]])), MALFORMED],
    ...["\0", "\n", "\r", "\r\n", "\r\nx: y", "\x01", "\x1f", "\x7f"].map(
      (text): Row => [`${JSON.stringify(text)} in a value`, withRequest(request("/", [["x", `a${text}b`]])), MALFORMED],
    ),
    ...[" a", "a ", "\ta", "a\t", " ", "\t"].map(
      (text): Row => [`the value ${JSON.stringify(text)}`, withRequest(request("/", [["x", text]])), MALFORMED],
    ),
    ["obs-text in a value", withRequest(request("/", [["x", "\x80\xff"]])), ANSWERED],
    ["tab within a value", withRequest(request("/", [["x", "a\tb"]])), ANSWERED],
    ["an empty value", withRequest(request("/", [["x", ""]])), ANSWERED],
  ],
  "§8.2.2": [
    ...(
      [
        ["connection", "keep-alive"],
        ["connection", "close"],
        ["keep-alive", "timeout=5"],
        ["proxy-connection", "keep-alive"],
        ["transfer-encoding", "chunked"],
        ["transfer-encoding", "identity"],
        ["upgrade", "websocket"],
        ["te", "gzip"],
        ["te", "trailers, deflate;q=0.5"],
      ] as const
    ).map(([name, value]): Row => [`${name}: ${value}`, withRequest(request("/", [[name, value]])), MALFORMED]),
    ["te: trailers", withRequest(request("/", [["te", "trailers"]])), ANSWERED],
  ],
  "§8.2.3": [
    [
      "crumbs of a cookie",
      withRequest(
        request("/", [
          ["cookie", "a=b"],
          ["cookie", "c=d"],
        ]),
      ),
      ANSWERED,
    ],
  ],
  "§8.3": [
    ["a pseudo-field behind a field", withRequest([["x", "y"], ...request()]), MALFORMED],
    ["an unknown pseudo-field", withRequest([...request(), [":test", "ok"]]), MALFORMED],
    ["a pseudo-field of responses", withRequest([...request(), [":status", "200"]]), MALFORMED],
    ["an empty pseudo-field's name", withRequest([...request(), [":", "a"]]), MALFORMED],
    ["a pseudo-field with a capital", withRequest([...without(":method"), [":Method", "GET"]]), MALFORMED],
  ],
  "§8.3.1": [
    ...[":method", ":scheme", ":path"].map((name): Row => [`no ${name}`, withRequest(without(name)), MALFORMED]),
    ...[":method", ":scheme", ":path", ":authority"].map(
      (name): Row => [
        `two of ${name}`,
        withRequest([...request(), request().find(([found]) => found === name)!]), // it is there
        MALFORMED,
      ],
    ),
    ["an empty :path", withRequest(instead(":path", "")), MALFORMED],
    ["an empty :method", withRequest(instead(":method", "")), MALFORMED],
    ["a :path without a slash", withRequest(instead(":path", "a")), MALFORMED],
    ["neither :authority nor host", withRequest(without(":authority")), answered(400)],
    ["host in place of :authority", withRequest([...without(":authority"), ["host", "a"]]), ANSWERED],
    ["host equal to :authority", withRequest([...request(), ["host", "a"]]), ANSWERED],
    ["host that differs from :authority", withRequest([...request(), ["host", "b"]]), MALFORMED],
    ["user information in :authority", withRequest(instead(":authority", "u@a")), MALFORMED],
    ["an empty :authority", withRequest(instead(":authority", "")), MALFORMED],
    ["OPTIONS *, for which there is no route", withRequest(request("*", [], "OPTIONS")), answered(404)],
    ["GET *", withRequest(request("*")), MALFORMED],
  ],
  "§8.5": [
    ["CONNECT with :path", withRequest(request("/", [], "CONNECT")), MALFORMED],
    ["CONNECT without :authority", withRequest([[":method", "CONNECT"]]), MALFORMED],
  ],
};

/** Of RFC 7541. */
const compression: Readonly<Record<string, readonly Row[]>> = {
  "§2.3.3": [
    ["an index beyond both tables", withBlock(REQUEST_BLOCK, Buffer.of(0xc6)), connectionError(CompressionError)],
    [
      "a name's index beyond both tables",
      withBlock(REQUEST_BLOCK, Buffer.of(0x7f, 0x80, 1), string("x")),
      connectionError(CompressionError),
    ],
  ],
  "§4.2": [
    [
      "a table size update behind a field",
      withBlock(REQUEST_BLOCK, Buffer.of(0x20)),
      connectionError(CompressionError),
    ],
    ["a table size update", withBlock(integer(4096, 5, 0x20), REQUEST_BLOCK), ANSWERED],
    ["several table size updates", withBlock(Buffer.of(0x20), integer(4096, 5, 0x20), REQUEST_BLOCK), ANSWERED],
  ],
  "§5.1": [
    [
      "an integer of many octets that says nothing",
      withBlock(REQUEST_BLOCK, Buffer.of(0xff), Buffer.alloc(64, 0x80), Buffer.of(0)),
      connectionError(CompressionError),
    ],
    [
      "an integer that does not end",
      withBlock(REQUEST_BLOCK, Buffer.of(0xff, 0x80)),
      connectionError(CompressionError),
    ],
    ["an integer above 2^32", withBlock(REQUEST_BLOCK, integer(2 ** 40, 7, 0x80)), connectionError(CompressionError)],
  ],
  "§5.2": [
    ["a string longer than its block", withBlock(REQUEST_BLOCK, Buffer.of(0, 0x7f)), connectionError(CompressionError)],
    [
      "Huffman padding of more than 7 bits",
      withBlock(REQUEST_BLOCK, Buffer.of(0, 1, 0x78, 0x85, 0x9c, 0x64, 0xff, 0xff, 0xff)),
      connectionError(CompressionError),
    ],
    [
      "Huffman padding of zeros",
      withBlock(REQUEST_BLOCK, Buffer.of(0, 1, 0x78, 0x81, 0x18)),
      connectionError(CompressionError),
    ],
    [
      "EOS within a Huffman string",
      withBlock(REQUEST_BLOCK, Buffer.of(0, 1, 0x78, 0x84, 0xff, 0xff, 0xff, 0xff)),
      connectionError(CompressionError),
    ],
  ],
  "§6.1": [
    ["indexed fields", withBlock(Buffer.of(0x82, 0x86, 0x84), Buffer.of(1), string("a")), ANSWERED],
    ["index 0", withBlock(Buffer.of(0x80), REQUEST_BLOCK), connectionError(CompressionError)],
  ],
  "§6.2.1": [
    [
      "a literal that is indexed, by name's index",
      withBlock(REQUEST_BLOCK, Buffer.of(0x7a), string("agent")),
      ANSWERED,
    ],
    [
      "a literal that is indexed, with its name",
      withBlock(REQUEST_BLOCK, Buffer.of(0x40), string("x"), string("y")),
      ANSWERED,
    ],
    ["and then used", withBlock(REQUEST_BLOCK, Buffer.of(0x40), string("x"), string("y"), Buffer.of(0xbe)), ANSWERED],
    [
      "with Huffman code",
      withBlock(Buffer.of(0x82, 0x86, 0x84, 0x41, 0x8c), Buffer.from("f1e3c2e5f23a6ba0ab90f4ff", "hex")),
      ANSWERED,
    ],
  ],
  "§6.2.2": [
    [
      "a literal that is not indexed, by name's index",
      withBlock(REQUEST_BLOCK, Buffer.of(0x0f, 0x2b), string("agent")),
      ANSWERED,
    ],
  ],
  "§6.2.3": [
    [
      "a literal that is never indexed, by name's index",
      withBlock(REQUEST_BLOCK, Buffer.of(0x1f, 0x2b), string("agent")),
      ANSWERED,
    ],
    [
      "a literal that is never indexed, with its name",
      withBlock(REQUEST_BLOCK, Buffer.of(0x10), string("x"), string("y")),
      ANSWERED,
    ],
  ],
  "§6.3": [
    [
      "a table size above what we allow",
      withBlock(integer(4097, 5, 0x20), REQUEST_BLOCK),
      connectionError(CompressionError),
    ],
    [
      "a table of size 0 forgets",
      send(
        headers(1, Buffer.concat([REQUEST_BLOCK, Buffer.of(0x40), string("x"), string("y")])),
        headers(3, Buffer.concat([Buffer.of(0x20), REQUEST_BLOCK, Buffer.of(0xbe)])),
      ),
      connectionError(CompressionError),
    ],
  ],
};

/** Every section of RFC 9113 and RFC 7541 that tells what a server does with what a client sends. */
export const sections: readonly Section[] = [
  ...rowsOf("9113", frames),
  ...rowsOf("9113", messages),
  ...rowsOf("7541", compression),
];

function rowsOf(rfc: string, table: Readonly<Record<string, readonly Row[]>>): readonly Section[] {
  return Object.entries(table).flatMap(([section, rows]) =>
    rows.map(([what, run, verdict, check]) => ({
      section: `${rfc} ${section}`,
      what,
      run,
      verdict,
      ...(check && { check }),
    })),
  );
}
