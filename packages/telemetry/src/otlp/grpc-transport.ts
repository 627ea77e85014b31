import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import type { ExportResponse, IExporterTransport } from "@opentelemetry/otlp-exporter-base";

/**
 * OTLP over gRPC. OpenTelemetry's own transport asks for gRPC with `require` at run time, which a bundle does not have, and takes
 * one address alone; this one takes gRPC names.
 */
export class GrpcTransport implements IExporterTransport {
  readonly #client: Client;
  readonly #method: string;
  readonly #metadata = new Metadata();
  readonly #wallNow: () => number;

  /** `method`: "/package.Service/Method". */
  constructor(
    { target, tls }: { readonly target: string; readonly tls: boolean },
    method: string,
    headers: Readonly<Record<string, string>>,
    wallNow: () => number,
  ) {
    this.#client = new Client(target, tls ? credentials.createSsl() : credentials.createInsecure(), {
      "grpc.max_receive_message_length": 64 * 1024, // an answer tells how many were refused, and why
    });
    this.#method = method;
    this.#wallNow = wallNow;
    for (const [name, value] of Object.entries(headers)) this.#metadata.set(name, value);
  }

  send(data: Uint8Array, timeoutMillis: number): Promise<ExportResponse> {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const deadline = this.#wallNow() + timeoutMillis;
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(this.#method, asIs, asIs, bytes, this.#metadata, { deadline }, (error, answer) => {
        if (error === null) resolve({ status: "success", ...(answer !== undefined && { data: answer }) });
        else if (RETRYABLE.has(error.code)) resolve({ status: "retryable", error });
        else resolve({ status: "failure", error });
      });
    });
  }

  shutdown(): void {
    this.#client.close();
  }
}

/** https://opentelemetry.io/docs/specs/otlp/#failures, but for a deadline that has passed: there is no time left. */
const RETRYABLE: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
