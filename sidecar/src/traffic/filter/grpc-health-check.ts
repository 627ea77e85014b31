import { GrpcStatus } from "@heddle/base";
import { type Exchange, type LocalReply, ResponseFlag } from "@heddle/filter";
import { GrpcMessageReader, healthCheckResponse, readHealthCheckRequest, ServingStatus } from "@heddle/http";

/** How a service is, and why: the details of the answer. Undefined: nobody knows such a service. */
export type HealthOf = (service: string) => { readonly serving: boolean; readonly details: string } | undefined;

/** Whether that path is the health service's, which a proxy can answer by itself. */
export function isGrpcHealthPath(path: string): boolean {
  return path === CHECK || path === WATCH;
}

/** One call of `grpc.health.v1.Health` (grpc/doc/health-checking.md), answered when its message is whole. */
export class GrpcHealthCheck {
  readonly #exchange: Exchange;
  readonly #healthOf: HealthOf;
  #answer: LocalReply = MALFORMED;
  readonly #reader = new GrpcMessageReader((flags, message) => {
    this.#answer = flags === 0 ? this.#answerTo(readHealthCheckRequest(message)) : COMPRESSED;
  }, MAX_REQUEST_BYTES);

  constructor(exchange: Exchange, healthOf: HealthOf) {
    this.#exchange = exchange;
    this.#healthOf = healthOf;
  }

  begin(endStream: boolean): void {
    // Clients take it for healthy, and ask no more (the protocol's own words for servers without it).
    if (this.#exchange.request.path === WATCH) this.#exchange.reply(NO_WATCH);
    else if (endStream) this.end();
  }

  data(chunk: Uint8Array, endStream: boolean): void {
    const read = this.#reader.read(chunk);
    if (!read.ok) this.#exchange.reply(MALFORMED);
    else if (endStream) this.end();
  }

  end(): void {
    this.#exchange.reply(this.#reader.partial ? MALFORMED : this.#answer);
  }

  #answerTo(service: string | undefined): LocalReply {
    if (service === undefined) return MALFORMED;
    const health = this.#healthOf(service);
    if (health === undefined) return UNKNOWN_SERVICE;
    const { serving, details } = health;
    return {
      status: 200,
      details,
      flags: serving ? 0 : ResponseFlag.FailedLocalHealthCheck,
      grpcMessage: healthCheckResponse(serving ? ServingStatus.Serving : ServingStatus.NotServing),
    };
  }
}

const CHECK = "/grpc.health.v1.Health/Check";
const WATCH = "/grpc.health.v1.Health/Watch";
/** It holds one name. */
const MAX_REQUEST_BYTES = 4096;
const DETAILS = "grpc_health_check_refused";
const MALFORMED: LocalReply = {
  status: 400,
  body: "not one HealthCheckRequest",
  details: DETAILS,
  grpcStatus: GrpcStatus.Internal,
};
const COMPRESSED: LocalReply = {
  status: 400,
  body: "compressed messages are not read",
  details: DETAILS,
  grpcStatus: GrpcStatus.Unimplemented,
};
const UNKNOWN_SERVICE: LocalReply = {
  status: 404,
  body: "unknown service",
  details: DETAILS,
  grpcStatus: GrpcStatus.NotFound,
};
const NO_WATCH: LocalReply = {
  status: 404,
  body: "only Check is answered",
  details: DETAILS,
  grpcStatus: GrpcStatus.Unimplemented,
};
