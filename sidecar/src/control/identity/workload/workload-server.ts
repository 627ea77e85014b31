import { chmodSync, unlinkSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import { err, type Live, ok, type Result } from "@heddle/base";
import { isLeftBehind, loadPeerProcess, type PeerProcessOf } from "@heddle/net";
import type { Log } from "@heddle/telemetry";
import { byteMethod } from "@heddle/xds/server";
import type { Identity } from "../own-identity.ts";
import {
  encodeX509BundlesResponse,
  encodeX509SvidResponse,
  FETCH_X509_BUNDLES,
  FETCH_X509_SVID,
  JWT_METHODS,
  SECURITY_HEADER,
} from "./workload-wire.ts";

export interface WorkloadServerOptions {
  readonly live: Live<Identity>;
  readonly log: Log;
}

/** Of the processes of one workload. */
const MAX_CONNECTIONS = 100;
const MAX_STREAMS = 200;

/** Requests are empty but for those of the JWT profile. */
const MAX_REQUEST_BYTES = 16 * 1024;

/** Of what a client has not read: some hundred identities. It gets the newest anew when it asks again. */
const MAX_UNREAD_BYTES = 1024 * 1024;

type Stream = ServerWritableStream<Buffer, Buffer>;

/**
 * Serves the sidecar's identity to the application beside it: the SPIFFE Workload API's X.509-SVID profile on a Unix socket, for
 * processes of the sidecar's own user (and root). The socket is its owner's alone (0600), and where the kernel can be asked, each
 * connection's process is looked at as well. The JWT profile is switched off, as operators may (§1).
 */
export class WorkloadServer {
  readonly #options: WorkloadServerOptions;
  readonly #grpc: Server;
  readonly #injector: ConnectionInjector;
  readonly #streams = new Map<Stream, (identity: Identity) => Buffer | undefined>();
  readonly #sockets = new Set<Socket>();
  #listener: NetServer | undefined;
  #unwatch: (() => void) | undefined;

  constructor(options: WorkloadServerOptions) {
    this.#options = options;
    this.#grpc = new Server({
      "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
      "grpc.max_concurrent_streams": MAX_STREAMS,
    });
    this.#grpc.addService(
      {
        svids: byteMethod(FETCH_X509_SVID, false, true),
        bundles: byteMethod(FETCH_X509_BUNDLES, false, true),
        ...Object.fromEntries(JWT_METHODS.map((path) => [path, byteMethod(path, false, false)])),
      },
      {
        svids: (stream: Stream) => this.#serve(stream, encodeX509SvidResponse),
        bundles: (stream: Stream) => this.#serve(stream, encodeX509BundlesResponse),
        ...Object.fromEntries(JWT_METHODS.map((path) => [path, refuseJwt])),
      },
    );
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Listens at that path. A socket that a dead process has left behind is replaced; anything else there is somebody's. */
  async listen(path: string): Promise<Result<void, string>> {
    const peerOf = await loadPeerProcess();
    if (peerOf === undefined)
      this.#options.log.info("callers of the Workload API are told apart by its socket's mode alone");
    let listening = await this.#listenOnce(path, peerOf);
    if (listening?.code === "EADDRINUSE" && (await isLeftBehind(path))) {
      unlinkSync(path);
      listening = await this.#listenOnce(path, peerOf);
    }
    if (listening !== undefined) return err(`the Workload API cannot be served at ${path} (${listening.code})`);
    this.#unwatch = this.#options.live.watch((identity) => this.#tell(identity));
    return ok(undefined);
  }

  close(): void {
    this.#unwatch?.();
    this.#listener?.close(); // Node takes the socket's file away
    for (const socket of this.#sockets) socket.destroy();
    this.#grpc.forceShutdown();
    this.#injector.destroy();
  }

  #listenOnce(path: string, peerOf: PeerProcessOf | undefined): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const listener = createServer((socket) => this.#accept(socket, peerOf));
      listener.maxConnections = MAX_CONNECTIONS;
      listener.once("error", resolve);
      // The file is made with the socket: nobody else can be quicker than a mode that is set afterwards.
      const before = process.umask(0o177);
      try {
        listener.listen(path, () => {
          chmodSync(path, 0o600);
          resolve(undefined);
        });
      } finally {
        process.umask(before);
      }
      this.#listener = listener;
    });
  }

  #accept(socket: Socket, peerOf: PeerProcessOf | undefined): void {
    socket.on("error", () => undefined);
    const peer = peerOf?.(socket);
    if (peerOf !== undefined && (peer === undefined || !mayCall(peer.uid))) {
      this.#options.log.warn("a process of another user has called the Workload API, and is refused", {
        uid: peer?.uid,
        pid: peer?.pid,
      });
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    this.#injector.injectConnection(socket);
  }

  #serve(stream: Stream, encode: (identity: Identity) => Buffer | undefined): void {
    if (!hasHeader(stream) || this.#streams.size >= MAX_STREAMS) {
      end(stream, hasHeader(stream) ? TOO_MANY : MISSING_HEADER);
      return;
    }
    this.#streams.set(stream, encode);
    for (const event of ["cancelled", "close", "error"]) stream.on(event, () => this.#streams.delete(stream));
    // §4.3: the first answer comes without delay.
    this.#write(stream, encode, this.#options.live.current);
  }

  #tell(identity: Identity): void {
    for (const [stream, encode] of Array.from(this.#streams)) this.#write(stream, encode, identity);
  }

  #write(stream: Stream, encode: (identity: Identity) => Buffer | undefined, identity: Identity): void {
    const bytes = encode(identity);
    if (bytes !== undefined && stream.writableLength + bytes.length <= MAX_UNREAD_BYTES) {
      stream.write(bytes);
      return;
    }
    this.#streams.delete(stream);
    end(
      stream,
      bytes === undefined ? NO_IDENTITY_NOW : { code: status.RESOURCE_EXHAUSTED, details: "nothing is read" },
    );
  }
}

type Refusal = { readonly code: status; readonly details: string };

/** Workload Endpoint §6 */
const MISSING_HEADER: Refusal = {
  code: status.INVALID_ARGUMENT,
  details: `the metadata "${SECURITY_HEADER}: true" is missing`,
};
const NO_IDENTITY_NOW: Refusal = { code: status.UNAVAILABLE, details: "the sidecar has no identity now" };

const TOO_MANY: Refusal = { code: status.RESOURCE_EXHAUSTED, details: `there are ${MAX_STREAMS} streams already` };

function hasHeader({ metadata }: Pick<Stream, "metadata">): boolean {
  const values = metadata.get(SECURITY_HEADER);
  return values.length === 1 && values[0] === "true";
}

function end(stream: Stream, refusal: Refusal): void {
  stream.emit("error", refusal);
}

function refuseJwt(call: ServerUnaryCall<Buffer, Buffer>, answer: (refusal: Refusal) => void): void {
  answer(
    hasHeader(call) ? { code: status.UNIMPLEMENTED, details: "the JWT-SVID profile is not offered" } : MISSING_HEADER,
  );
}

function mayCall(uid: number): boolean {
  return uid === 0 || uid === process.getuid?.();
}
