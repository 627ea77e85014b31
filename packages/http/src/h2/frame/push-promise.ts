import { type FrameError, protocolError, sizeError } from "./frame-error.ts";
import { Flag, type FrameHeader, readUint31 } from "./frame-header.ts";
import { CONTENT, findContent } from "./padding.ts";

const ID_BYTES = 4;
const ON_CONNECTION = protocolError("PUSH_PROMISE on stream 0");
const NO_ID = sizeError("PUSH_PROMISE too short for its stream");
const BAD_ID = protocolError("PUSH_PROMISE promises a stream that no server may open");

export interface PushPromiseFrame {
  readonly promisedStreamId: number;
  readonly fragment: Uint8Array;
  readonly endHeaders: boolean;
}

/** RFC 9113 §6.6. We announce SETTINGS_ENABLE_PUSH 0, so a peer that sends one is refused; we write none. */
export function readPushPromise({ flags, streamId }: FrameHeader, payload: Uint8Array): PushPromiseFrame | FrameError {
  if (streamId === 0) return ON_CONNECTION;
  const padding = (flags & Flag.Padded) !== 0 ? 1 : 0;
  if (payload.length < padding + ID_BYTES) return NO_ID;
  const error = findContent(payload, flags, ID_BYTES);
  if (error !== undefined) return error;
  const promisedStreamId = readUint31(payload, padding);
  if (promisedStreamId === 0 || promisedStreamId % 2 === 1) return BAD_ID;
  return {
    promisedStreamId,
    fragment: payload.subarray(CONTENT.from, CONTENT.to),
    endHeaders: (flags & Flag.EndHeaders) !== 0,
  };
}
