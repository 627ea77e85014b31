import {
  Metadata,
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { err, ok, type Result } from "@heddle/base";
import type { SpiffeId } from "@heddle/identity";
import { decodeMessage, encodeMessage } from "@heddle/proto";
import type { Log } from "@heddle/telemetry";
import { byteMethod, statusDetails } from "@heddle/xds/server";
import type { GrpcServices } from "../serve/serve-xds.ts";
import { callSource } from "./call-source.ts";
import type { CallerProof, CertificateRefusal, CertificateService } from "./certificate-service.ts";
import { bundlesMessage, issueRequestFrom, issueResponse, MESSAGES, SERVICE } from "./identity-messages.ts";
import type { Signer } from "./signer.ts";

export interface IdentityGrpcOptions {
  readonly service: CertificateService;
  readonly signer: Signer;
  /** Whether the port that this is added to is TLS. */
  readonly isSecure: boolean;
  /** Whose verified certificate a call's connection has; for renewal, also one that has ended a short while ago. */
  readonly svidOf: (call: UnaryCall) => SpiffeId | undefined;
  readonly log: Log;
}

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type WatchCall = ServerWritableStream<Buffer, Buffer>;

/** A request is a CSR, whose own limit is told in words. */
const MAX_REQUEST_BYTES = 64 * 1024;
/** Watches at a time: each is a stream of a sidecar's. */
const MAX_WATCHES = 20_000;
/** Of one address. */
const MAX_WATCHES_PER_SOURCE = 2000;

/**
 * The certificate authority over gRPC: heddle.identity.v1.CertificateAuthority. Certificates are for who has a proof; trust
 * bundles are for everybody, as the SPIFFE bundle endpoint's are: they are of use only to who knows whom it asks.
 */
export class IdentityGrpc implements GrpcServices {
  readonly #options: IdentityGrpcOptions;
  /** With the address that each came from. */
  readonly #watches = new Map<WatchCall, string>();
  readonly #watchesOf = new Map<string, number>();
  #unwatch: () => void;

  constructor(options: IdentityGrpcOptions) {
    this.#options = options;
    this.#unwatch = options.signer.bundles.watch(() => this.#tellAll());
  }

  /** What is longer than a CSR by little is told in words. */
  messageBytes(path: string): number | undefined {
    return path.startsWith(`/${SERVICE}/`) ? 2 * MAX_REQUEST_BYTES : undefined;
  }

  addTo(server: Server): void {
    server.addService(
      { issue: byteMethod(`/${SERVICE}/IssueCertificate`, false, false) },
      {
        issue: (call: UnaryCall, reply: sendUnaryData<Buffer>) =>
          void this.#issue(call).then((answered) => {
            if (answered.ok) reply(null, answered.value);
            else reply(statusOf(answered.error));
          }),
      },
    );
    server.addService(
      { watch: byteMethod(`/${SERVICE}/WatchTrustBundles`, false, true) },
      { watch: (call: WatchCall) => this.#watch(call) },
    );
  }

  close(): void {
    this.#unwatch();
    for (const call of this.#watches.keys())
      call.emit("error", statusOf({ code: "UNAVAILABLE", message: "the control plane is shutting down" }));
  }

  /** Never rejects. */
  async #issue(call: UnaryCall): Promise<Result<Buffer, Refusal>> {
    const { service, signer, log } = this.#options;
    try {
      if (call.request.length > MAX_REQUEST_BYTES) return err(tooLong(call.request.length));
      const message = decodeMessage(MESSAGES.issueRequest, call.request);
      if (!message.ok) return err({ code: "INVALID_ARGUMENT", message: message.error });
      const { csr, ttlS } = issueRequestFrom(message.value);
      const answer = await service.issue(this.#proofOf(call), csr, ttlS);
      if (!answer.ok) return answer;
      const response = issueResponse(answer.value, signer.bundles.current);
      return ok(Buffer.from(encodeMessage(MESSAGES.issueResponse, response)));
    } catch (error) {
      log.error("a call of the certificate authority failed", { error });
      return err({ code: "INTERNAL", message: "the call failed; the control plane's log says why" });
    }
  }

  #proofOf(call: UnaryCall): CallerProof {
    const { svidOf, isSecure } = this.#options;
    return { svid: svidOf(call), bearer: bearerOf(call.metadata), isSecure, source: callSource(call.getPeer()) };
  }

  #watch(call: WatchCall): void {
    const source = callSource(call.getPeer());
    const ofSource = this.#watchesOf.get(source) ?? 0;
    if (this.#watches.size >= MAX_WATCHES || ofSource >= MAX_WATCHES_PER_SOURCE) {
      call.emit("error", statusOf({ code: "RESOURCE_EXHAUSTED", message: "too many watches", retryAfterS: 60 }));
      return;
    }
    const forget = (): void => {
      if (!this.#watches.delete(call)) return;
      const left = (this.#watchesOf.get(source) ?? 0) - 1;
      if (left > 0) this.#watchesOf.set(source, left);
      else this.#watchesOf.delete(source);
    };
    this.#watches.set(call, source);
    this.#watchesOf.set(source, ofSource + 1);
    call.on("cancelled", forget);
    call.on("close", forget);
    call.on("error", forget);
    call.write(this.#bundles());
  }

  #tellAll(): void {
    if (this.#watches.size === 0) return;
    const bytes = this.#bundles();
    for (const call of this.#watches.keys()) {
      // Whoever has not taken the last ones is told to begin anew rather than held in memory.
      if (call.writableLength > MAX_UNREAD_BYTES)
        call.emit("error", statusOf({ code: "RESOURCE_EXHAUSTED", message: "the watch is not being read" }));
      else call.write(bytes);
    }
  }

  #bundles(): Buffer {
    return Buffer.from(encodeMessage(MESSAGES.bundles, bundlesMessage(this.#options.signer.bundles.current)));
  }
}

const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

interface Refusal extends Omit<CertificateRefusal, "code"> {
  readonly code: CertificateRefusal["code"] | "INTERNAL";
}

function tooLong(length: number): Refusal {
  return { code: "INVALID_ARGUMENT", message: `found ${length} bytes, allowed are ${MAX_REQUEST_BYTES}` };
}

/** More than one header: nobody knows which is meant. */
function bearerOf(metadata: Metadata): string | undefined {
  const values = metadata.get("authorization");
  if (values.length !== 1) return undefined;
  return /^Bearer +([^\s]+)$/i.exec(String(values[0]))?.[1];
}

function statusOf({ code, message, retryAfterS }: Refusal): { code: status; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  if (retryAfterS !== undefined) metadata.set("retry-after", String(retryAfterS));
  return { code: status[code], details: statusDetails(message), metadata };
}
