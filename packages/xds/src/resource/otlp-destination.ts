import type { OtlpDestination } from "@heddle/traffic";
import { duration, type LooseJsonObject, list } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** Envoy's deadline of an export where the service names none. */
const TIMEOUT_MS = 10_000;

/** `envoy.config.core.v3.GrpcService`, as a place that telemetry is sent to. */
export function decodeGrpcDestination(fields: Fields | undefined): OtlpDestination | undefined {
  if (fields === undefined) return undefined;
  const envoy = fields.message("envoy_grpc");
  const google = fields.message("google_grpc");
  if (envoy === undefined && google === undefined) return undefined; // validation has said so
  if (envoy?.has("authority") === true) envoy.report("authority", "has no effect");
  if (google?.has("channel_credentials") === true)
    google.fail(
      "channel_credentials",
      "is not supported yet here; a connection would be open where it should be protected",
    );
  return {
    protocol: "grpc",
    target:
      envoy === undefined
        ? { type: "address", address: google?.text("target_uri") ?? "" }
        : { type: "cluster", name: envoy.text("cluster_name") },
    uri: "",
    headers: fields
      .messages("initial_metadata")
      .map((header) => [header.text("key").toLowerCase(), header.text("value")]),
    timeoutMs: fields.durationMs("timeout", TIMEOUT_MS) || TIMEOUT_MS,
  };
}

/** `envoy.config.core.v3.HttpService`. */
export function decodeHttpDestination(fields: Fields | undefined): OtlpDestination | undefined {
  if (fields === undefined) return undefined;
  const uri = fields.message("http_uri");
  if (uri === undefined) {
    fields.fail("http_uri", "must be set");
    return undefined;
  }
  const text = uri.text("uri");
  if (!URL.canParse(text) || !/^https?:/.test(text)) uri.fail("uri", `found "${text}", allowed is an http URL`);
  return {
    protocol: "http",
    target: { type: "cluster", name: uri.text("cluster") },
    uri: text,
    headers: fields.messages("request_headers_to_add").map((option) => {
      const header = option.message("header");
      option.enumName("append_action");
      return [(header?.text("key") ?? "").toLowerCase(), header?.text("value") ?? ""];
    }),
    timeoutMs: uri.durationMs("timeout", TIMEOUT_MS) || TIMEOUT_MS,
  };
}

export function encodeDestination(destination: OtlpDestination): LooseJsonObject {
  const { protocol, target, uri, headers, timeoutMs } = destination;
  const pairs = headers.map(([key, value]) => ({ key, value }));
  if (protocol === "http") {
    return {
      http_uri: {
        uri,
        cluster: target.type === "cluster" ? target.name : target.address,
        timeout: duration(timeoutMs),
      },
      request_headers_to_add: list(pairs.map((header) => ({ header }))),
    };
  }
  return {
    ...(target.type === "cluster"
      ? { envoy_grpc: { cluster_name: target.name } }
      : { google_grpc: { target_uri: target.address, stat_prefix: "otlp" } }),
    timeout: duration(timeoutMs),
    initial_metadata: list(pairs),
  };
}
