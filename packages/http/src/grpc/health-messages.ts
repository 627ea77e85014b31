import { ProtobufReader, WireType } from "./protobuf-reader.ts";

/*
 * The messages of gRPC's health service (grpc/doc/health-checking.md, package grpc.health.v1), as far as a proxy answers them:
 *
 *     HealthCheckRequest { string service = 1; }    HealthCheckResponse { ServingStatus status = 1; }
 */

/** `grpc.health.v1.HealthCheckResponse.ServingStatus` */
export const ServingStatus = { Unknown: 0, Serving: 1, NotServing: 2 } as const;

/**
 * The service that a `HealthCheckRequest` asks after; "" for all of the server. Undefined: these bytes are no such message.
 * Fields that it does not have are passed over, as protobuf wants; of `service` the last one counts.
 */
export function readHealthCheckRequest(message: Uint8Array): string | undefined {
  const reader = new ProtobufReader(message);
  let service = "";
  while (reader.next()) if (reader.is(SERVICE, WireType.Bytes)) service = reader.text;
  return reader.broken ? undefined : service;
}

export function healthCheckResponse(status: number): Uint8Array {
  return Uint8Array.of(STATUS_TAG, status);
}

const SERVICE = 1;
/** Field 1, a varint (protobuf.dev/programming-guides/encoding). */
const STATUS_TAG = 0x08;
