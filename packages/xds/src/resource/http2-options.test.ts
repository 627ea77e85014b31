import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHttp2Options, type Http2Options } from "@heddle/traffic";
import { makeListenerType } from "./listener.ts";
import { accept, errorsOf, httpFilters, MANAGER, ROUTER, reportsOf } from "./testing.ts";

const type = makeListenerType({ httpFilters });
const HCM = "filter_chains[0].filters[0].typed_config";
const HTTP2 = `${HCM}.http2_protocol_options`;

function withManager(manager: object): object {
  const http_filters = [{ name: "router", typed_config: { "@type": ROUTER } }];
  const typed_config = { "@type": MANAGER, stat_prefix: "s", route_config: { name: "r" }, http_filters, ...manager };
  const address = { socket_address: { address: "0.0.0.0", port_value: 80 } };
  return { name: "l", address, filter_chains: [{ filters: [{ name: "hcm", typed_config }] }] };
}

function read(manager: object): Http2Options {
  const filter = accept(type, withManager(manager)).filterChains[0]?.filters[0];
  assert.equal(filter?.type, "http-connection-manager");
  return filter.config.http2;
}

function errors(http2_protocol_options: object): readonly string[] {
  return errorsOf(type, withManager({ http2_protocol_options }));
}

function setting(identifier: number, value: number): object {
  return { identifier, value };
}

test("what is not set has the value of Envoy's edge", () => {
  assert.deepEqual(read({}), defaultHttp2Options);
  assert.deepEqual(read({ http2_protocol_options: {} }), defaultHttp2Options);
});

test("every field is read", () => {
  const http2_protocol_options = {
    hpack_table_size: 0,
    max_concurrent_streams: 7,
    initial_stream_window_size: 65_535,
    initial_connection_window_size: 2 ** 31 - 1,
    allow_connect: true,
    max_outbound_frames: 1,
    max_outbound_control_frames: 2,
    max_consecutive_inbound_frames_with_empty_payload: 0,
    max_inbound_priority_frames_per_stream: 0,
    max_inbound_window_update_frames_per_data_frame_sent: 3,
    override_stream_error_on_invalid_http_message: true,
    connection_keepalive: {
      interval: "30s",
      timeout: "5s",
      interval_jitter: { value: 0 },
      connection_idle_interval: "0.5s",
    },
  };
  assert.deepEqual(read({ http2_protocol_options }), {
    hpackTableSize: 0,
    maxConcurrentStreams: 7,
    initialStreamWindowSize: 65_535,
    initialConnectionWindowSize: 2 ** 31 - 1,
    allowConnect: true,
    maxOutboundFrames: 1,
    maxOutboundControlFrames: 2,
    maxConsecutiveInboundFramesWithEmptyPayload: 0,
    maxInboundPriorityFramesPerStream: 0,
    maxInboundWindowUpdateFramesPerDataFrameSent: 3,
    streamErrorOnInvalidHttpMessage: true,
    keepalive: { intervalMs: 30_000, timeoutMs: 5000, intervalJitterPercent: 0, connectionIdleIntervalMs: 500 },
  });
});

test("the jitter of a keepalive is 15 % where it is not set", () => {
  const { keepalive } = read({ http2_protocol_options: { connection_keepalive: { timeout: "1s" } } });
  assert.deepEqual(keepalive, {
    intervalMs: 0,
    timeoutMs: 1000,
    intervalJitterPercent: 15,
    connectionIdleIntervalMs: 0,
  });
});

test("the listener's word on invalid messages holds where HTTP/2 has none of its own, and counts more than the old field", () => {
  const streamError = (manager: object): boolean => read(manager).streamErrorOnInvalidHttpMessage;
  const old = { stream_error_on_invalid_http_messaging: true };
  assert.equal(streamError({ stream_error_on_invalid_http_message: true }), true);
  assert.equal(
    streamError({
      stream_error_on_invalid_http_message: true,
      http2_protocol_options: { override_stream_error_on_invalid_http_message: false },
    }),
    false,
  );
  assert.equal(streamError({ http2_protocol_options: old }), true);
  assert.equal(streamError({ stream_error_on_invalid_http_message: false, http2_protocol_options: old }), false);
});

test("numbers have Envoy's bounds", () => {
  const wrong = {
    max_concurrent_streams: 0,
    initial_stream_window_size: 65_534,
    initial_connection_window_size: 2 ** 31,
    max_outbound_frames: 0,
    max_outbound_control_frames: 0,
    max_inbound_window_update_frames_per_data_frame_sent: 0,
    connection_keepalive: { interval: "0.0001s" },
  };
  assert.deepEqual(
    errors(wrong)
      .map((error) => error.slice(HTTP2.length + 1, error.indexOf(": ")))
      .sort(),
    [
      "connection_keepalive.interval",
      "connection_keepalive.timeout",
      "initial_connection_window_size",
      "initial_stream_window_size",
      "max_concurrent_streams",
      "max_inbound_window_update_frames_per_data_frame_sent",
      "max_outbound_control_frames",
      "max_outbound_frames",
    ],
  );
});

test("a setting may be given by its number", () => {
  const custom_settings_parameters = [setting(1, 0), setting(2, 0), setting(3, 5), setting(3, 5), setting(4, 70_000)];
  const { hpackTableSize, maxConcurrentStreams, initialStreamWindowSize } = read({
    http2_protocol_options: { custom_settings_parameters },
  });
  assert.deepEqual([hpackTableSize, maxConcurrentStreams, initialStreamWindowSize], [0, 5, 70_000]);
});

test("a setting that is given twice, or that no number may set, is an error", () => {
  assert.deepEqual(
    errors({
      hpack_table_size: 1,
      custom_settings_parameters: [
        setting(1, 1),
        setting(2, 1),
        setting(8, 1),
        setting(3, 1),
        setting(3, 2),
        setting(4, 65_534),
      ],
    }),
    [
      `${HTTP2}.custom_settings_parameters[0].identifier: found 1, which is set by "hpack_table_size" as well`,
      `${HTTP2}.custom_settings_parameters[1].value: found 1, allowed is 0: there is no server push`,
      `${HTTP2}.custom_settings_parameters[2].identifier: found 8, which only "allow_connect" may set`,
      `${HTTP2}.custom_settings_parameters[4].value: found 2 and 1 for setting 3, allowed is one value`,
      `${HTTP2}.custom_settings_parameters[5].value: found 65534, allowed is 65535 to 2147483647`,
    ],
  );
});

test("a setting that is not sent is reported", () => {
  const http2_protocol_options = { custom_settings_parameters: [setting(5, 20_000), setting(0xff, 1)] };
  assert.deepEqual(reportsOf(type, withManager({ http2_protocol_options })), [
    `${HTTP2}.custom_settings_parameters[0]`,
    `${HTTP2}.custom_settings_parameters[1]`,
  ]);
});
