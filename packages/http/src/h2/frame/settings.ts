import { ErrorCode } from "./error-code.ts";
import { FrameError, protocolError, sizeError } from "./frame-error.ts";
import { Flag, type FrameHeader, FrameType, readUint32, writeFrameHeader, writeUint32 } from "./frame-header.ts";

/** RFC 9113 §6.5.2, RFC 8441 §3. */
export const Setting = {
  HeaderTableSize: 0x1,
  EnablePush: 0x2,
  MaxConcurrentStreams: 0x3,
  InitialWindowSize: 0x4,
  MaxFrameSize: 0x5,
  MaxHeaderListSize: 0x6,
  EnableConnectProtocol: 0x8,
} as const;

const SETTING_BYTES = 6;
const MAX_WINDOW = 0x7fff_ffff;
const SMALLEST_MAX_FRAME = 1 << 14;
const LARGEST_MAX_FRAME = (1 << 24) - 1;

const ON_STREAM = protocolError("SETTINGS on a stream");
const ACK_WITH_PAYLOAD = sizeError("an acknowledgement of SETTINGS with a payload");
const BAD_SIZE = sizeError("SETTINGS is not of six bytes a setting");
const BAD_PUSH = protocolError("SETTINGS_ENABLE_PUSH is neither 0 nor 1");
const BAD_CONNECT = protocolError("SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1");
const BAD_FRAME_SIZE = protocolError("SETTINGS_MAX_FRAME_SIZE is below 2^14 or above 2^24 - 1");
const BAD_WINDOW = new FrameError(
  ErrorCode.FlowControlError,
  "connection",
  "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31 - 1",
);

export interface SettingsFrame {
  readonly ack: boolean;
  /** In the order in which they came; a later one of the same name counts. Unknown ones are among them, to be ignored. */
  readonly settings: readonly (readonly [setting: number, value: number])[];
}

/** RFC 9113 §6.5. Limits of each value are checked here, since each is an error of the connection (§6.5.2). */
export function readSettings({ flags, streamId }: FrameHeader, payload: Uint8Array): SettingsFrame | FrameError {
  if (streamId !== 0) return ON_STREAM;
  const ack = (flags & Flag.Ack) !== 0;
  if (ack && payload.length > 0) return ACK_WITH_PAYLOAD;
  if (payload.length % SETTING_BYTES !== 0) return BAD_SIZE;
  const settings: [number, number][] = [];
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    const setting = (payload[at]! << 8) | payload[at + 1]!;
    const value = readUint32(payload, at + 2);
    const error = checkSetting(setting, value);
    if (error !== undefined) return error;
    settings.push([setting, value]);
  }
  return { ack, settings };
}

function checkSetting(setting: number, value: number): FrameError | undefined {
  switch (setting) {
    case Setting.EnablePush:
      return value > 1 ? BAD_PUSH : undefined;
    case Setting.InitialWindowSize:
      return value > MAX_WINDOW ? BAD_WINDOW : undefined;
    case Setting.MaxFrameSize:
      return value < SMALLEST_MAX_FRAME || value > LARGEST_MAX_FRAME ? BAD_FRAME_SIZE : undefined;
    case Setting.EnableConnectProtocol:
      return value > 1 ? BAD_CONNECT : undefined;
    default:
      return undefined;
  }
}

/** The index behind it. */
export function writeSettings(
  into: Uint8Array,
  at: number,
  settings: readonly (readonly [setting: number, value: number])[],
): number {
  at = writeFrameHeader(into, at, settings.length * SETTING_BYTES, FrameType.Settings, 0, 0);
  for (const [setting, value] of settings) {
    into[at] = setting >>> 8;
    into[at + 1] = setting;
    at = writeUint32(into, at + 2, value);
  }
  return at;
}

/** The index behind it. */
export function writeSettingsAck(into: Uint8Array, at: number): number {
  return writeFrameHeader(into, at, 0, FrameType.Settings, Flag.Ack, 0);
}
