import { defaultHttp2Options, type Http2Keepalive, type Http2Options } from "@heddle/traffic";
import { duration, durationUnless, type LooseJsonObject, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** `envoy.config.core.v3.KeepaliveSettings.interval_jitter` */
const INTERVAL_JITTER_PERCENT = 15;

/** Wrapped numbers. */
const NUMBERS = {
  hpackTableSize: "hpack_table_size",
  maxConcurrentStreams: "max_concurrent_streams",
  initialStreamWindowSize: "initial_stream_window_size",
  initialConnectionWindowSize: "initial_connection_window_size",
  maxOutboundFrames: "max_outbound_frames",
  maxOutboundControlFrames: "max_outbound_control_frames",
  maxConsecutiveInboundFramesWithEmptyPayload: "max_consecutive_inbound_frames_with_empty_payload",
  maxInboundPriorityFramesPerStream: "max_inbound_priority_frames_per_stream",
  maxInboundWindowUpdateFramesPerDataFrameSent: "max_inbound_window_update_frames_per_data_frame_sent",
} as const satisfies { readonly [key in keyof Http2Options]?: string };
type NumberKey = keyof typeof NUMBERS;
const KEYS = Object.keys(NUMBERS) as readonly NumberKey[];

/** Always written, since an Envoy that reads it has other defaults. */
const EDGE: readonly NumberKey[] = ["maxConcurrentStreams", "initialStreamWindowSize", "initialConnectionWindowSize"];
const SAME_IN_ENVOY = KEYS.filter((key) => !EDGE.includes(key));

/** SETTINGS that have a field of their own; RFC 9113 §6.5.2. Bounds are those of that field. */
const NAMED = new Map<
  number,
  { readonly field: string; readonly key: NamedKey; readonly min: number; readonly max: number }
>([
  [0x1, { field: "hpack_table_size", key: "hpackTableSize", min: 0, max: 2 ** 32 - 1 }],
  [0x3, { field: "max_concurrent_streams", key: "maxConcurrentStreams", min: 1, max: 2 ** 31 - 1 }],
  [0x4, { field: "initial_stream_window_size", key: "initialStreamWindowSize", min: 65_535, max: 2 ** 31 - 1 }],
]);
type NamedKey = "hpackTableSize" | "maxConcurrentStreams" | "initialStreamWindowSize";

const SETTINGS_ENABLE_PUSH = 0x2;
const SETTINGS_ENABLE_CONNECT_PROTOCOL = 0x8;

/**
 * `envoy.config.core.v3.Http2ProtocolOptions`. `outerStreamError` is what a message around it says of
 * `stream_error_on_invalid_http_message`; undefined: nothing.
 */
export function decodeHttp2ProtocolOptions(fields: Fields | undefined, outerStreamError?: boolean): Http2Options {
  if (fields === undefined)
    return { ...defaultHttp2Options, streamErrorOnInvalidHttpMessage: outerStreamError ?? false };
  return {
    ...decodeNumbers(fields),
    allowConnect: fields.flag("allow_connect"),
    streamErrorOnInvalidHttpMessage:
      fields.wrappedFlag("override_stream_error_on_invalid_http_message", undefined) ??
      outerStreamError ??
      fields.flag("stream_error_on_invalid_http_messaging"),
    keepalive: decodeKeepalive(fields.message("connection_keepalive")),
    ...decodeCustomSettings(fields),
  };
}

function decodeNumbers(fields: Fields): Pick<Http2Options, NumberKey> {
  const numbers: { [key in NumberKey]?: number } = {};
  for (const key of KEYS) numbers[key] = fields.wrappedNumber(NUMBERS[key], defaultHttp2Options[key]);
  return numbers as Pick<Http2Options, NumberKey>; // all of its keys have been gone through
}

function decodeKeepalive(fields: Fields | undefined): Http2Keepalive | undefined {
  if (fields === undefined) return undefined;
  return {
    intervalMs: fields.durationMs("interval", 0),
    timeoutMs: fields.durationMs("timeout", 0), // the validation rules require it
    intervalJitterPercent: fields.message("interval_jitter")?.number("value") ?? INTERVAL_JITTER_PERCENT,
    connectionIdleIntervalMs: fields.durationMs("connection_idle_interval", 0),
  };
}

/** As in Envoy a setting may stand here instead of in its own field, never in both, and never twice with two values. */
function decodeCustomSettings(fields: Fields): Partial<Record<NamedKey, number>> {
  const settings = new Map<number, number>();
  const named: Partial<Record<NamedKey, number>> = {};
  for (const parameter of fields.messages("custom_settings_parameters")) {
    const identifier = parameter.wrappedNumber("identifier", 0); // the validation rules require both
    const value = parameter.wrappedNumber("value", 0);
    const earlier = settings.get(identifier);
    settings.set(identifier, value);
    const own = NAMED.get(identifier);
    if (earlier !== undefined && earlier !== value) {
      parameter.fail("value", `found ${value} and ${earlier} for setting ${identifier}, allowed is one value`);
    } else if (identifier === SETTINGS_ENABLE_PUSH) {
      if (value !== 0) parameter.fail("value", `found ${value}, allowed is 0: there is no server push`);
    } else if (identifier === SETTINGS_ENABLE_CONNECT_PROTOCOL) {
      parameter.fail("identifier", 'found 8, which only "allow_connect" may set');
    } else if (own === undefined) {
      fields.findings.report(parameter.path, "is not sent: the codec decides it, or knows no such setting");
    } else if (fields.has(own.field)) {
      parameter.fail("identifier", `found ${identifier}, which is set by "${own.field}" as well`);
    } else if (value < own.min || value > own.max) {
      parameter.fail("value", `found ${value}, allowed is ${own.min} to ${own.max}`);
    } else named[own.key] = value;
  }
  return named;
}

export function encodeHttp2ProtocolOptions(options: Http2Options): LooseJsonObject {
  const standard = defaultHttp2Options;
  return {
    ...Object.fromEntries(EDGE.map((key) => [NUMBERS[key], options[key]])),
    ...Object.fromEntries(SAME_IN_ENVOY.map((key) => [NUMBERS[key], unless(standard[key], options[key])])),
    allow_connect: unless(false, options.allowConnect),
    override_stream_error_on_invalid_http_message: unless(false, options.streamErrorOnInvalidHttpMessage),
    connection_keepalive: options.keepalive && encodeKeepalive(options.keepalive),
  };
}

function encodeKeepalive(keepalive: Http2Keepalive): LooseJsonObject {
  return {
    interval: durationUnless(0, keepalive.intervalMs),
    timeout: duration(keepalive.timeoutMs),
    interval_jitter:
      keepalive.intervalJitterPercent === INTERVAL_JITTER_PERCENT
        ? undefined
        : { value: keepalive.intervalJitterPercent },
    connection_idle_interval: durationUnless(0, keepalive.connectionIdleIntervalMs),
  };
}
