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
  const reader = new FieldReader(message);
  let service = "";
  while (!reader.atEnd) {
    const tag = reader.varint();
    const bytes = tag === undefined ? undefined : reader.field(tag & 7);
    if (tag === undefined || bytes === undefined || tag >> 3 === 0) return undefined;
    if (tag === SERVICE_TAG) service = Buffer.from(bytes).toString();
  }
  return service;
}

export function healthCheckResponse(status: number): Uint8Array {
  return Uint8Array.of(STATUS_TAG, status);
}

/** Field 1, length-delimited; field 1, a varint (protobuf.dev/programming-guides/encoding). */
const SERVICE_TAG = 0x0a;
const STATUS_TAG = 0x08;

class FieldReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Of 32 bits at most, which is what tags and lengths have here. */
  varint(): number | undefined {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value <= 0xffff_ffff ? value : undefined;
    }
    return undefined;
  }

  /** The bytes of a field of that wire type; undefined where they are not all there, or there is no such type. */
  field(wireType: number): Uint8Array | undefined {
    const start = this.#at;
    switch (wireType) {
      case 0:
        for (let length = 1; length <= 10; length++) {
          const byte = this.#bytes[this.#at++];
          if (byte === undefined) return undefined;
          if (byte < 0x80) return this.#bytes.subarray(start, this.#at);
        }
        return undefined;
      case 1:
        return this.#take(8);
      case 2: {
        const length = this.varint();
        return length === undefined ? undefined : this.#take(length);
      }
      case 5:
        return this.#take(4);
      default:
        return undefined;
    }
  }

  #take(length: number): Uint8Array | undefined {
    if (length > this.#bytes.length - this.#at) return undefined;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
