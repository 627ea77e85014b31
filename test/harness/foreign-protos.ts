import { join } from "node:path";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import type { Json } from "./envoy-config.ts";
import { projectRoot } from "./imports.ts";

/*
 * Envoy's messages by @grpc/proto-loader from the .proto files that gRPC's own xDS client ships with: no line of
 * packages/proto or packages/xds is in it.
 */

const DEPS = join(projectRoot, "node_modules/@grpc/grpc-js-xds/deps");

const definitions = loadSync(
  [
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/discovery/v3/ads.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/core/v3/extension.proto",
    "envoy/service/runtime/v3/rtds.proto",
    "envoy/extensions/filters/http/health_check/v3/health_check.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
  ],
  {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    includeDirs: ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((folder) => join(DEPS, folder)),
  },
);

/** @param message in proto JSON's names, but durations as "1.5s" only. */
export function encodeForeign(type: string, message: Json): Buffer {
  return definition(type).serialize(withDurations(message) as object);
}

/** A `google.protobuf.Struct` as the message that it is, for `encodeForeign`. Its fields are protobufjs's own, in camelCase. */
export function foreignStruct(json: Json): Json {
  return { fields: Object.fromEntries(Object.entries(json).map(([key, value]) => [key, foreignValue(value)])) };
}

function foreignValue(value: unknown): Json {
  if (value === null) return { nullValue: 0 };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(foreignValue) } };
  return { structValue: foreignStruct(value as Json) };
}

export function decodeForeign<Message>(type: string, bytes: Buffer): Message {
  return definition(type).deserialize(bytes) as Message;
}

function definition(type: string): MessageTypeDefinition<object, object> {
  return definitions[type] as MessageTypeDefinition<object, object>;
}

/** What proto JSON writes as "1.5s" is a message of two numbers. */
function withDurations(value: unknown): unknown {
  if (typeof value === "string") return /^\d+(?:\.\d+)?s$/.test(value) ? duration(value) : value;
  if (Array.isArray(value)) return value.map(withDurations);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withDurations(inner)]));
}

function duration(text: string): Json {
  const seconds = Number(text.slice(0, -1));
  return { seconds: Math.trunc(seconds), nanos: Math.round((seconds % 1) * 1e9) };
}
