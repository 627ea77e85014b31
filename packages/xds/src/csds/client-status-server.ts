import { type Server, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { byteMethod } from "../byte-method.ts";
import { statusDetails } from "../status-details.ts";
import type { PeerOf } from "../transport-peer.ts";
import { type ClientStatus, decodeClientStatusRequest, encodeClientStatusResponse } from "./client-status.ts";

const SERVICE = "envoy.service.status.v3.ClientStatusDiscoveryService";

/** Tells who asks which configuration each client has (CSDS): one answer a request, unary or on a stream. */
export class ClientStatusServer {
  readonly #clients: () => readonly ClientStatus[];
  readonly #calls: Set<ServerDuplexStream<Buffer, Buffer>> = new Set();

  constructor(clients: () => readonly ClientStatus[]) {
    this.#clients = clients;
  }

  /** Behind certificates there are nodes, and what other nodes have is none of theirs: there it is not offered. */
  addTo(server: Server, peerOf?: PeerOf): void {
    if (peerOf !== undefined) return;
    server.addService(
      {
        stream: byteMethod(`/${SERVICE}/StreamClientStatus`, true, true),
        fetch: byteMethod(`/${SERVICE}/FetchClientStatus`, false, false),
      },
      {
        stream: (call: ServerDuplexStream<Buffer, Buffer>) => this.#stream(call),
        fetch: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
          const answer = this.#answer(call.request);
          if (typeof answer === "string") done({ code: status.INVALID_ARGUMENT, details: statusDetails(answer) });
          else done(null, answer);
        },
      },
    );
  }

  close(): void {
    for (const call of this.#calls)
      call.emit("error", { code: status.UNAVAILABLE, details: "the control plane is shutting down" });
    this.#calls.clear();
  }

  #stream(call: ServerDuplexStream<Buffer, Buffer>): void {
    this.#calls.add(call);
    call.on("data", (bytes: Buffer) => {
      const answer = this.#answer(bytes);
      if (typeof answer === "string")
        call.emit("error", { code: status.INVALID_ARGUMENT, details: statusDetails(answer) });
      // Answers are as large as a mesh: no more of them are made than are read.
      else if (!call.write(answer)) {
        call.pause();
        call.once("drain", () => call.resume());
      }
    });
    call.on("end", () => call.end());
    for (const end of ["cancelled", "error", "finish"]) call.on(end, () => this.#calls.delete(call));
  }

  /** The answer's bytes, or what is wrong with the request. */
  #answer(bytes: Buffer): Buffer | string {
    const request = decodeClientStatusRequest(bytes);
    if (!request.ok) return request.error;
    const { wants, excludeContents } = request.value;
    const wanted = this.#clients().filter(({ node }) => wants(node));
    return Buffer.from(encodeClientStatusResponse(wanted, excludeContents));
  }
}
