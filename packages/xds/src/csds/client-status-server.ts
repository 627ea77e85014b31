import { type Server, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { err, ok, type Result } from "@heddle/base";
import { byteMethod } from "../byte-method.ts";
import type { XdsNode } from "../snapshot.ts";
import { statusDetails } from "../status-details.ts";
import type { CallOfPeer, PeerOf, TransportPeer } from "../transport-peer.ts";
import { type ClientStatus, decodeClientStatusRequest, encodeClientStatusResponse } from "./client-status.ts";

const SERVICE = "envoy.service.status.v3.ClientStatusDiscoveryService";

const MAX_REQUEST_BYTES = 256 * 1024;

/** Who asks reads what it is told, and has one call for that. */
const CALL_LIMIT = { connectionCalls: 4, calls: 64 } as const;

/** Who asks what clients have. */
export interface StatusAsker {
  /** What the call has in its metadata of that name. */
  readonly authorization: string | undefined;
  /** What the transport has shown; undefined: it shows nobody (plaintext). An error says what is missing. */
  readonly peer: Result<TransportPeer, string> | undefined;
  /** What the request says of itself. */
  readonly nodeId: string;
}

/** Which clients somebody may be told of; an error: none, and why. */
export type StatusRights = (asker: StatusAsker) => Result<(node: XdsNode) => boolean, string>;

/** Tells who asks which configuration each client has (CSDS): one answer a request, unary or on a stream. */
export class ClientStatusServer {
  readonly #clients: () => readonly ClientStatus[];
  readonly #rights: StatusRights;
  readonly #calls: Set<ServerDuplexStream<Buffer, Buffer>> = new Set();

  /** @param rights asked for each request. Left out: everybody is told of all */
  constructor(clients: () => readonly ClientStatus[], rights: StatusRights = () => ok(() => true)) {
    this.#clients = clients;
    this.#rights = rights;
  }

  addTo(server: Server, peerOf?: PeerOf): void {
    server.addService(
      {
        stream: byteMethod(`/${SERVICE}/StreamClientStatus`, true, true),
        fetch: byteMethod(`/${SERVICE}/FetchClientStatus`, false, false),
      },
      {
        stream: (call: ServerDuplexStream<Buffer, Buffer>) => this.#stream(call, peerOf),
        fetch: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
          const answer = this.#answer(call.request, call, peerOf);
          if (answer.ok) done(null, answer.value);
          else done(answer.error);
        },
      },
    );
  }

  /** A request is a hundred matchers at most. */
  messageBytes(path: string): number | undefined {
    return path.startsWith(`/${SERVICE}/`) ? MAX_REQUEST_BYTES : undefined;
  }

  /** Each holds an answer that may be as large as a mesh until its client has read it. */
  callLimit(path: string): typeof CALL_LIMIT | undefined {
    return path.startsWith(`/${SERVICE}/`) ? CALL_LIMIT : undefined;
  }

  close(): void {
    for (const call of this.#calls)
      call.emit("error", { code: status.UNAVAILABLE, details: "the control plane is shutting down" });
    this.#calls.clear();
  }

  #stream(call: ServerDuplexStream<Buffer, Buffer>, peerOf: PeerOf | undefined): void {
    this.#calls.add(call);
    call.on("data", (bytes: Buffer) => {
      const answer = this.#answer(bytes, call, peerOf);
      if (!answer.ok) call.emit("error", answer.error);
      // Answers are as large as a mesh: no more of them are made than are read.
      else if (!call.write(answer.value)) {
        call.pause();
        call.once("drain", () => call.resume());
      }
    });
    call.on("end", () => call.end());
    for (const end of ["cancelled", "error", "finish"]) call.on(end, () => this.#calls.delete(call));
  }

  /** The answer's bytes, or what is wrong with the request or with who asks. */
  #answer(bytes: Buffer, call: StatusCall, peerOf: PeerOf | undefined): Result<Buffer, Refusal> {
    const request = decodeClientStatusRequest(bytes);
    if (!request.ok) return err({ code: status.INVALID_ARGUMENT, details: statusDetails(request.error) });
    const { wants, excludeContents, nodeId } = request.value;
    const mayBeTold = this.#rights({ authorization: authorizationOf(call), peer: peerOf?.(call), nodeId });
    if (!mayBeTold.ok) return err({ code: status.UNAUTHENTICATED, details: statusDetails(mayBeTold.error) });
    const wanted = this.#clients().filter(({ node }) => mayBeTold.value(node) && wants(node));
    return ok(Buffer.from(encodeClientStatusResponse(wanted, excludeContents)));
  }
}

type StatusCall = Pick<ServerUnaryCall<Buffer, Buffer>, "metadata"> & CallOfPeer;

interface Refusal {
  readonly code: status;
  readonly details: string;
}

/** Of two there is no telling which one is meant. */
function authorizationOf({ metadata }: StatusCall): string | undefined {
  const values = metadata.get("authorization");
  return values.length === 1 ? String(values[0]) : undefined;
}
