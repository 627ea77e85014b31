import {
  Flag,
  type FrameHeader,
  FrameReader,
  FrameType,
  readGoAway,
  readHeaders,
  readRstStream,
  readSettings,
  readWindowUpdate,
  writeFrameHeader,
  writeGoAway,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../h2/frame/index.ts";
import { HpackDecoder, HpackEncoder, HpackError } from "../h2/hpack/index.ts";
import { PREFACE } from "../h2/preface.ts";

/** A frame as it was received, with what its payload says. Undefined is what frames of its type do not have. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly length: number;
  /** Latin1: of DATA, PING and frames that are not known. */
  readonly text?: string;
  /** Name and value in turn, of HEADERS. */
  readonly fields?: readonly string[];
  readonly endStream?: boolean;
  /** Of RST_STREAM and GOAWAY. */
  readonly errorCode?: number;
  readonly lastStreamId?: number;
  readonly settings?: readonly (readonly [setting: number, value: number])[];
  readonly increment?: number;
}

/** Writes frames, good and bad, and reads those of the other side. It keeps no rules: for tests that break them. */
export class H2Peer {
  readonly encoder = new HpackEncoder();
  readonly #decoder = new HpackDecoder({ maxListSize: 1e6, maxCount: 1e4 });
  readonly #reader: FrameReader;
  #seen: SeenFrame[] = [];
  #data = "";
  #dataHeader: FrameHeader = { length: 0, type: 0, flags: 0, streamId: 0 };
  #block: Buffer[] = [];
  #blockEndStream = false;

  constructor() {
    this.#reader = new FrameReader(this, 0xff_ffff);
  }

  /** What `text`, latin1, has of whole frames, behind the preface if there is one. */
  read(text: string): SeenFrame[] {
    const bytes = Buffer.from(text, "latin1");
    const error = this.#reader.receive(text.startsWith("PRI *") ? bytes.subarray(PREFACE.length) : bytes);
    if (error !== undefined) throw new Error(`the codec wrote a bad frame: ${error.detail}`);
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }

  onFrame(header: FrameHeader, payload: Buffer): undefined {
    const { type, flags, streamId, length } = header;
    const base = { type, flags, streamId, length };
    switch (type) {
      case FrameType.Headers: {
        const { fragment, endStream, endHeaders } = good(readHeaders(header, payload));
        this.#block = [Buffer.from(fragment)];
        this.#blockEndStream = endStream;
        if (endHeaders) this.#endBlock(base);
        return;
      }
      case FrameType.Continuation:
        this.#block.push(Buffer.from(payload));
        if ((flags & Flag.EndHeaders) !== 0) this.#endBlock({ ...base, type: FrameType.Headers });
        return;
      case FrameType.RstStream:
        this.#seen.push({ ...base, errorCode: good(readRstStream(header, payload)).errorCode });
        return;
      case FrameType.GoAway: {
        const { lastStreamId, errorCode } = good(readGoAway(header, payload));
        this.#seen.push({ ...base, lastStreamId, errorCode });
        return;
      }
      case FrameType.Settings:
        this.#seen.push({ ...base, settings: good(readSettings(header, payload)).settings });
        return;
      case FrameType.WindowUpdate:
        this.#seen.push({ ...base, increment: good(readWindowUpdate(header, payload)).increment });
        return;
      default:
        this.#seen.push({ ...base, text: payload.toString("latin1") });
    }
  }

  onDataFrame(header: FrameHeader): undefined {
    this.#dataHeader = { ...header };
    this.#data = "";
  }

  onDataChunk(chunk: Buffer, last: boolean): undefined {
    this.#data += chunk.toString("latin1");
    if (!last) return;
    const { type, flags, streamId, length } = this.#dataHeader;
    this.#seen.push({ type, flags, streamId, length, text: this.#data, endStream: (flags & Flag.EndStream) !== 0 });
  }

  #endBlock(base: Pick<SeenFrame, "type" | "flags" | "streamId" | "length">): void {
    const decoded = this.#decoder.decode(Buffer.concat(this.#block));
    if (decoded instanceof HpackError) throw new Error(`the codec wrote a bad block: ${decoded.detail}`);
    this.#seen.push({ ...base, fields: decoded.fields, endStream: this.#blockEndStream });
  }

  /** The block of a list, name and value in turn. */
  block(fields: readonly string[]): Buffer {
    this.encoder.begin();
    for (let i = 0; i < fields.length; i += 2) this.encoder.add(fields[i]!, fields[i + 1]!); // name and value in turn
    return Buffer.from(this.encoder.end());
  }

  headers(streamId: number, fields: readonly string[], endStream = true): Buffer {
    const flags = Flag.EndHeaders | (endStream ? Flag.EndStream : 0);
    return this.frame(FrameType.Headers, flags, streamId, this.block(fields));
  }

  data(streamId: number, text: string | Uint8Array, endStream = false): Buffer {
    return this.frame(FrameType.Data, endStream ? Flag.EndStream : 0, streamId, text);
  }

  settings(...settings: readonly (readonly [setting: number, value: number])[]): Buffer {
    return written((into) => writeSettings(into, 0, settings));
  }

  settingsAck(): Buffer {
    return written((into) => writeSettingsAck(into, 0));
  }

  ping(opaque = "12345678", ack = false): Buffer {
    return written((into) => writePing(into, 0, Buffer.from(opaque, "latin1"), ack));
  }

  reset(streamId: number, errorCode: number): Buffer {
    return written((into) => writeRstStream(into, 0, streamId, errorCode));
  }

  goAway(lastStreamId: number, errorCode = 0): Buffer {
    return written((into) => writeGoAway(into, 0, lastStreamId, errorCode));
  }

  windowUpdate(streamId: number, increment: number): Buffer {
    return written((into) => writeWindowUpdate(into, 0, streamId, increment));
  }

  /** Any frame. */
  frame(type: number, flags: number, streamId: number, payload: string | Uint8Array = ""): Buffer {
    const bytes = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
    const header = Buffer.alloc(9);
    writeFrameHeader(header, 0, bytes.length, type, flags, streamId);
    return Buffer.concat([header, bytes]);
  }
}

function good<Frame>(frame: Frame): Exclude<Frame, { readonly scope: string }> {
  if (typeof frame === "object" && frame !== null && "scope" in frame) throw new Error("the codec wrote a bad frame");
  return frame as Exclude<Frame, { readonly scope: string }>;
}

function written(write: (into: Buffer) => number): Buffer {
  const into = Buffer.alloc(2048);
  return into.subarray(0, write(into));
}
