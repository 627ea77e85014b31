import { Socket, type SocketConstructorOpts } from "node:net";
import { constants } from "node:os";
import type { SecureContext, TLSSocket } from "node:tls";

/*
 * Everything that touches the inside of Node's TLS sockets is in this file. The tests of tls-server.ts and tls-client.ts fail
 * where a later Node has it otherwise.
 */

interface Inside {
  readonly ssl: {
    verifyError(): (Error & { readonly code?: string }) | undefined;
    getSession(): Buffer | undefined;
    reading: boolean;
  } | null;
  _releaseControl(): boolean;
  secureConnecting: boolean;
  push(chunk: unknown, encoding?: BufferEncoding): boolean;
}

/** What OpenSSL found out about the peer's chain: "CERT_HAS_EXPIRED", "DEPTH_ZERO_SELF_SIGNED_CERT" …; "" for nothing. */
export function chainErrorOf(socket: TLSSocket): string {
  const { ssl } = socket as unknown as Inside;
  if (ssl === null) return "the connection is gone";
  const error = ssl.verifyError();
  return error === null || error === undefined ? "" : (error.code ?? error.message);
}

/** The session as OpenSSL keeps it (SSL_SESSION in DER). */
export function sessionOf(socket: TLSSocket): Buffer | undefined {
  return (socket as unknown as Inside).ssl?.getSession();
}

/** 48 bytes. Of the tickets that the context gives out from now on, and those that it takes. (Node has this for its own server.) */
export function setTicketKey(context: SecureContext, key: Uint8Array): void {
  (context.context as { setTicketKeys(keys: Buffer): void }).setTicketKeys(Buffer.from(key));
}

interface HelloInside {
  readonly ssl: {
    enableCertCb(): void;
    certCbDone(): void;
    setOCSPResponse(response: Buffer): void;
    oncertcb: (info: { readonly servername: string | false; readonly OCSPRequest: boolean }) => void;
    sni_context?: object;
  };
}

/** What a server shows to one client. */
export interface Shown {
  readonly context: SecureContext;
  /** DER of an OCSP response. */
  readonly staple?: Buffer;
}

/**
 * Asks, once the ClientHello has come, what its client is shown; undefined ends the handshake. It stands for `SNICallback` and
 * for the event `OCSPRequest`, which Node has for its own server alone.
 */
export function onHello(
  socket: TLSSocket,
  decide: (serverName: string, asksForStaple: boolean) => Shown | undefined,
): void {
  const { ssl } = socket as unknown as HelloInside;
  ssl.oncertcb = ({ servername, OCSPRequest }): void => {
    const shown = decide(servername === false || servername === null ? "" : servername, OCSPRequest);
    if (shown === undefined) {
      socket.destroy(Object.assign(new Error("no OCSP response"), { reason: "no_ocsp_response" }));
      return;
    }
    ssl.sni_context = shown.context.context;
    if (shown.staple !== undefined) ssl.setOCSPResponse(shown.staple);
    ssl.certCbDone();
  };
  ssl.enableCertCb();
}

/** From now on errors of a server's socket come as `error` events; before, Node keeps them for its own server. */
export function releaseControl(socket: TLSSocket): void {
  (socket as unknown as Inside)._releaseControl();
}

/** What Node's own server says of a socket before anybody gets it: its handshake is over. HTTP/2 waits for that. */
export function handOver(socket: TLSSocket): void {
  releaseControl(socket);
  (socket as unknown as Inside).secureConnecting = false;
}

/**
 * Tells, once a TLS socket has come to its end, whether that was the peer's word (close_notify) or only the network's: a FIN
 * that anybody on the way can send (RFC 8446 §6.1). Node says "end" to both.
 *
 * At the moment of the end the socket beneath still reads if it was close_notify, and does not if it was FIN: libuv has
 * stopped then. If the TLS socket had stopped reading by itself, no FIN can have come.
 */
export class EndWatch {
  cut = false;

  constructor(socket: TLSSocket, beneath: Socket) {
    const inside = socket as unknown as Inside;
    const push = inside.push.bind(socket);
    inside.push = (chunk, encoding) => {
      if (chunk === null) this.cut = inside.ssl?.reading === true && !stillReads(beneath);
      return push(chunk, encoding);
    };
  }
}

function stillReads(socket: Socket): boolean {
  const { _handle: handle } = socket as unknown as { readonly _handle: { readStart(): number } | null };
  return handle !== null && handle.readStart() === -constants.errno.EALREADY;
}

/** `status`: 0, or the negative number of an error; `detail`: what OpenSSL says of it. */
export type OnWritten = (status: number, handle: unknown, detail: string | undefined) => void;

interface WriteRequest {
  oncomplete: OnWritten;
}

interface WithWrites {
  readonly _handle: {
    writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
    writev(request: WriteRequest, chunks: readonly Uint8Array[], allBuffers: true): number;
  } | null;
}

/**
 * What a handle notes a write in. Node gives the class to nobody, so a socket is made whose handle is none, and shows what it
 * is given. Undefined: it was given something else.
 */
const WriteRequestOfNode = ((): (new () => WriteRequest) | undefined => {
  let shown: object | undefined;
  const writeBuffer = (request: object): number => {
    shown = request;
    return 0;
  };
  const options: unknown = { handle: { writeBuffer, readStop: () => 0 }, pauseOnCreate: true };
  try {
    new Socket(options as SocketConstructorOpts).write(Buffer.alloc(1));
  } catch {
    return undefined;
  }
  return shown?.constructor.name === "WriteWrap" ? (shown.constructor as new () => WriteRequest) : undefined;
})();

/** Whether `startWrite` works here. */
export const writesToHandles = WriteRequestOfNode !== undefined;

/**
 * Gives bytes to the handle beneath the socket's stream, which encrypts them before it returns. `onWritten` is called once the kernel has
 * taken them, as a rule on the event loop's next turn; only then may more be given. A failure is answered as the negative number of an
 * error, or told to `onWritten`, maybe before this returns. (The stream does the same with 1,900 instructions more.)
 */
export function startWrite(socket: Socket, bytes: Uint8Array | readonly Uint8Array[], onWritten: OnWritten): number {
  const { _handle: handle } = socket as unknown as WithWrites;
  if (handle === null || WriteRequestOfNode === undefined) return -constants.errno.EBADF;
  const request = new WriteRequestOfNode();
  request.oncomplete = onWritten;
  return bytes instanceof Uint8Array ? handle.writeBuffer(request, bytes) : handle.writev(request, bytes, true);
}
