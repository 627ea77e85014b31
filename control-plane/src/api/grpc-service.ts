import {
  type handleServerStreamingCall,
  Metadata,
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { type Clock, err, ok, type Result, type Timer } from "@heddle/base";
import { formatSpiffeId } from "@heddle/identity";
import { decodeMessage, encodeMessage, type Message } from "@heddle/proto";
import type { Log } from "@heddle/telemetry";
import { byteMethod, type PeerOf, statusDetails } from "@heddle/xds/server";
import type { Caller } from "./access.ts";
import { MAX_REQUEST_BYTES } from "./resource-limits.ts";
import {
  applyRequestFrom,
  batchMessage,
  deleteRequestFrom,
  errorMessage,
  eventMessage,
  getRequestFrom,
  listMessage,
  listRequestFrom,
  MESSAGES,
  resourceMessage,
  SERVICE,
  watchRequestFrom,
} from "./resource-messages.ts";
import type { ResourceService } from "./resource-service.ts";
import type { Access } from "./token-file.ts";
import { WatchPump } from "./watch-pump.ts";
import { type ApiError, formatApiDiagnostic } from "./wire.ts";

export interface GrpcResourceServiceOptions {
  readonly service: ResourceService;
  readonly access: Access;
  readonly clock: Clock;
  readonly log: Log;
}

const MAX_READER_BYTES = 128 * 1024;
/** What is around a request's resources has room. */
const MAX_WRITER_BYTES = MAX_REQUEST_BYTES + 64 * 1024;

type Unary = (caller: Caller, request: Message) => Promise<Result<Message, ApiError>> | Result<Message, ApiError>;
type Call = ServerUnaryCall<Buffer, Buffer>;
type WatchCall = ServerWritableStream<Buffer, Buffer>;

/** The resource API over gRPC: heddle.resources.v1.ResourceService. */
export class GrpcResourceService {
  readonly #options: GrpcResourceServiceOptions;
  readonly #watches = new Set<WatchCall>();

  constructor(options: GrpcResourceServiceOptions) {
    this.#options = options;
  }

  /** An API that is open to everybody on this machine is not open to those who come over a network. */
  addTo(server: Server, peerOf?: PeerOf): void {
    const { service, access } = this.#options;
    if (peerOf !== undefined && access.isOpen) return;
    const unary = [
      [
        "Apply",
        MESSAGES.applyRequest,
        MESSAGES.applyResponse,
        async (caller, request) => mapped(await service.apply(caller, applyRequestFrom(request)), batchMessage),
      ],
      [
        "Delete",
        MESSAGES.deleteRequest,
        MESSAGES.deleteResponse,
        async (caller, request) => mapped(await service.delete(caller, deleteRequestFrom(request)), batchMessage),
      ],
      [
        "Get",
        MESSAGES.getRequest,
        MESSAGES.resource,
        (caller, request) => {
          const { key, showSecrets } = getRequestFrom(request);
          return mapped(service.get(caller, key, showSecrets), resourceMessage);
        },
      ],
      [
        "List",
        MESSAGES.listRequest,
        MESSAGES.listResponse,
        (caller, request) => mapped(service.list(caller, listRequestFrom(request)), listMessage),
      ],
    ] as const satisfies readonly (readonly [string, string, string, Unary])[];
    for (const [name, requestType, responseType, answer] of unary) {
      server.addService(
        { call: byteMethod(`/${SERVICE}/${name}`, false, false) },
        {
          call: (call: Call, reply: sendUnaryData<Buffer>) =>
            void this.#answer(call, requestType, responseType, answer, peerOf).then((answered) => {
              if (answered.ok) reply(null, answered.value);
              else reply(statusOf(answered.error));
            }),
        },
      );
    }
    const watch: handleServerStreamingCall<Buffer, Buffer> = (call) => this.#watch(call, peerOf);
    server.addService({ watch: byteMethod(`/${SERVICE}/Watch`, false, true) }, { watch });
  }

  /** Who has no token that may write has nothing to say that is long. */
  messageBytes(path: string, authorization: string | undefined, hasCertificate = false): number | undefined {
    if (!path.startsWith(`/${SERVICE}/`)) return undefined;
    if (hasCertificate) return MAX_WRITER_BYTES; // no more than it may send to other services
    const caller = this.#options.access.callerOf(authorization);
    return caller === undefined || caller.role === "read" ? MAX_READER_BYTES : MAX_WRITER_BYTES;
  }

  /** Ends every watch; the gRPC server is its owner's. */
  close(): void {
    for (const call of this.#watches)
      call.emit("error", statusOf({ code: "UNAVAILABLE", message: "the control plane is shutting down" }));
  }

  /** The answer's bytes. Never rejects. */
  async #answer(
    call: Call,
    requestType: string,
    responseType: string,
    answer: Unary,
    peerOf: PeerOf | undefined,
  ): Promise<Result<Buffer, ApiError>> {
    try {
      const asked = this.#read(call, requestType, peerOf);
      if (!asked.ok) return asked;
      const answered = await answer(asked.value.caller, asked.value.request);
      return answered.ok ? ok(Buffer.from(encodeMessage(responseType, answered.value))) : answered;
    } catch (error) {
      this.#options.log.error("a call of the resource API failed", { call: call.getPath(), error });
      return err({ code: "INTERNAL", message: "the call failed; the control plane's log says why" });
    }
  }

  #read(
    call: Call | WatchCall,
    requestType: string,
    peerOf: PeerOf | undefined,
  ): Result<{ readonly caller: Caller; readonly request: Message }, ApiError> {
    const caller = this.#callerOf(call, peerOf);
    if (caller === undefined) return err({ code: "UNAUTHENTICATED", message: "no token that is known" });
    // The server takes large messages, since xDS clients send them.
    if (call.request.length > MAX_REQUEST_BYTES)
      return err({
        code: "RESOURCE_EXHAUSTED",
        message: `found ${call.request.length} bytes, allowed are ${MAX_REQUEST_BYTES}`,
      });
    const request = decodeMessage(requestType, call.request);
    return request.ok
      ? ok({ caller, request: request.value })
      : err({ code: "INVALID_ARGUMENT", message: request.error });
  }

  /** Whoever shows a token is whoever that says; a certificate counts where there is none. */
  #callerOf(call: Call | WatchCall, peerOf: PeerOf | undefined): Caller | undefined {
    const { access } = this.#options;
    const authorization = authorizationOf(call);
    const peer = shownPeerOf(call, peerOf);
    return peer?.ok === true
      ? access.callerOfIdentity(formatSpiffeId(peer.value.identity))
      : access.callerOf(authorization);
  }

  #watch(call: WatchCall, peerOf: PeerOf | undefined): void {
    const { service, access, clock } = this.#options;
    const asked = this.#read(call, MESSAGES.watchRequest, peerOf);
    if (!asked.ok) {
      call.emit("error", statusOf(asked.error));
      return;
    }
    const { selector, fromRevision } = watchRequestFrom(asked.value.request);
    const end = (error: ApiError): void => {
      close();
      call.emit("error", statusOf(error));
    };
    const pump = new WatchPump(
      {
        write: (event) => call.write(Buffer.from(encodeMessage(MESSAGES.watchResponse, eventMessage(event)))),
        end: (message) => end({ code: "RESOURCE_EXHAUSTED", message }),
      },
      clock,
    );
    const watch = service.watch(asked.value.caller, selector, fromRevision, () => pump.run());
    if (!watch.ok) {
      call.emit("error", statusOf(watch.error));
      return;
    }
    // A token that is taken away takes its watches along; one that may now see something else begins anew.
    const unwatchAccess = access.onChange(() => {
      const now = this.#callerOf(call, peerOf);
      if (JSON.stringify(now) !== JSON.stringify(asked.value.caller))
        end({ code: "UNAUTHENTICATED", message: "the token is not what it was" });
    });
    let expiry: Timer | undefined;
    const endAtExpiry = (): void => {
      const peer = shownPeerOf(call, peerOf);
      // A clock may have been set, and a timer be shorter than it was asked to be.
      if (peer?.ok === true) expiry = clock.after(peer.value.notAfterMs - clock.wallNow() + 1, endAtExpiry, true);
      else if (peer !== undefined) end({ code: "UNAUTHENTICATED", message: peer.error });
    };
    const close = (): void => {
      expiry?.cancel();
      this.#watches.delete(call);
      unwatchAccess();
      pump.close();
    };
    this.#watches.add(call);
    call.on("drain", () => pump.drained());
    call.on("cancelled", close);
    call.on("close", close);
    call.on("error", close);
    pump.start(watch.value);
    endAtExpiry();
  }
}

/** Who the certificate shows, of a call that has no token. Undefined: it has one, or callers show no certificates. */
function shownPeerOf(call: Call | WatchCall, peerOf: PeerOf | undefined): ReturnType<PeerOf> | undefined {
  return call.metadata.get("authorization").length === 0 ? peerOf?.(call) : undefined;
}

function authorizationOf(call: Call | WatchCall): string | undefined {
  const values = call.metadata.get("authorization");
  return values.length === 1 ? String(values[0]) : undefined;
}

function mapped<T>(result: Result<T, ApiError>, toMessage: (value: T) => Message): Result<Message, ApiError> {
  return result.ok ? ok(toMessage(result.value)) : result;
}

/** Heads of HTTP/2 have bounds: what does not fit is counted. */
const MAX_DETAILS = 30;
const MAX_DETAIL_BYTES = 6 * 1024;
const MAX_LINES = 10;

function statusOf(error: ApiError): { code: status; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  const { diagnostics = [], conflicts = [] } = error;
  for (let most = MAX_DETAILS; diagnostics.length + conflicts.length > 0 && most > 0; most = Math.floor(most / 2)) {
    const bytes = encodeMessage(MESSAGES.errorDetails, errorMessage(error, most));
    if (bytes.length > MAX_DETAIL_BYTES) continue;
    metadata.set("heddle-errors-bin", Buffer.from(bytes));
    break;
  }
  if (error.retryAfterS !== undefined) metadata.set("retry-after", String(error.retryAfterS));
  const lines = diagnostics.filter(({ severity }) => severity === "error").map(formatApiDiagnostic);
  const details = [error.message, ...lines.slice(0, MAX_LINES).map((line) => line.slice(0, 200))].join("\n");
  return { code: status[error.code], details: statusDetails(details), metadata };
}
