export { type ContinuationFrame, readContinuation, writeContinuationHeader } from "./continuation.ts";
export { checkData, writeDataHeader } from "./data.ts";
export { ErrorCode } from "./error-code.ts";
export { FrameError, protocolError } from "./frame-error.ts";
export {
  DEFAULT_MAX_FRAME_SIZE,
  Flag,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  FrameType,
  MAX_STREAM_ID,
  readFrameHeader,
  writeFrameHeader,
} from "./frame-header.ts";
export { type FrameEvents, FrameReader } from "./frame-reader.ts";
export { type GoAwayFrame, readGoAway, writeGoAway } from "./goaway.ts";
export { HEADERS_ON_CONNECTION, type HeadersFrame, readHeaders, writeHeadersHeader } from "./headers.ts";
export { type PingFrame, readPing, writePing } from "./ping.ts";
export { type PriorityFrame, readPriority } from "./priority.ts";
export { type PushPromiseFrame, readPushPromise } from "./push-promise.ts";
export { type RstStreamFrame, readRstStream, writeRstStream } from "./rst-stream.ts";
export { readSettings, Setting, type SettingsFrame, writeSettings, writeSettingsAck } from "./settings.ts";
export { readWindowUpdate, type WindowUpdateFrame, writeWindowUpdate } from "./window-update.ts";
