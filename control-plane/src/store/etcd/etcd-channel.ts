import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import type { Clock } from "@heddle/base";

/** A call that etcd has answered with an error, or not at all. `code`: gRPC's. */
export class EtcdError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** One connection to one member. */
export class EtcdChannel {
  readonly #client: Client;
  readonly #clock: Clock;
  #metadata = withLeader();

  /** @param target host and port. */
  constructor(target: string, security: ChannelCredentials, clock: Clock) {
    this.#client = new Client(target, security, OPTIONS);
    this.#clock = clock;
  }

  /** Every later call says who we are. */
  useToken(token: string): void {
    this.#metadata = withLeader();
    this.#metadata.set("token", token);
  }

  /** Rejects with an `EtcdError`; what cannot be read counts as one too. */
  call<Response>(path: string, request: Buffer, decode: (bytes: Buffer) => Response, timeoutMs: number) {
    return new Promise<Response>((resolve, reject) => {
      this.#client.makeUnaryRequest<Buffer, Response>(
        `/etcdserverpb.${path}`,
        asIs,
        decode,
        request,
        this.#metadata,
        { deadline: this.#clock.wallNow() + timeoutMs },
        (error: ServiceError | null, response) => {
          if (error !== null) reject(new EtcdError(error.code, error.details));
          else resolve(response as Response);
        },
      );
    });
  }

  watch(): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest<Buffer, Buffer>("/etcdserverpb.Watch/Watch", asIs, asIs, this.#metadata);
  }

  close(): void {
    this.#client.close();
  }
}

const OPTIONS: ChannelOptions = {
  // What piled up while nobody watched comes in one response.
  "grpc.max_receive_message_length": 256 * 1024 * 1024,
  "grpc.max_send_message_length": -1,
  // etcd closes connections that ping more than every 5 s (--grpc-keepalive-min-time).
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  // Each attempt dials anew, with the store's back-off.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};

/** A member that has lost its leader shall answer with an error: it would wait, and its watch would be silent. */
function withLeader(): Metadata {
  const metadata = new Metadata();
  metadata.set("hasleader", "true");
  return metadata;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
