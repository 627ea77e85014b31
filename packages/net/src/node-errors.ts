import { type Failure, failure } from "@heddle/base";

/*
 * The one place that knows the error codes of Node's sockets. Codes are those of libuv (errno names); what they mean here
 * depends on whether the connection was open, and on which side of the sidecar it lies.
 */

/** The side of the sidecar on which a connection lies. */
export type ConnectionSide = "downstream" | "upstream";

/** The code of an error of Node ("ECONNRESET"), or "" where it has none. */
export function codeOf(error: unknown): string {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}

/** What ended an open connection. */
export function connectionFailure(error: unknown, side: ConnectionSide): Failure {
  const code = codeOf(error);
  const detail = `connection ${REASON[code] ?? "failed"} (${code === "" ? messageOf(error) : code})`;
  if (side === "downstream") return failure("downstream-reset", side, detail, "never", error);
  // A peer that closes an idle connection while a request is on its way answers that request with RST.
  const kind = code === "ETIMEDOUT" ? "connection-closed" : "reset-by-upstream";
  return failure(kind, side, detail, "if-connection-was-reused", error);
}

/** Why a connection could not be made. Nothing was sent, so another attempt is always safe. */
export function dialFailure(error: unknown, address: string): Failure {
  const code = codeOf(error);
  const kind = DIAL_KIND[code] ?? "connect-failed";
  return failure(kind, "upstream", `${address}: ${code === "" ? messageOf(error) : code}`, "safe", error);
}

/**
 * What the transport says of a connection that could not be made, as Envoy's transports put it
 * (`%UPSTREAM_TRANSPORT_FAILURE_REASON%`): "delayed connect error: Connection refused". "": nothing.
 */
export function transportFailureReason({ kind, cause }: Failure): string {
  if (cause instanceof HandshakeError) return tlsFailureText(cause.message);
  if (!kind.startsWith("connect-")) return "";
  const reason = STRERROR[codeOf(cause)];
  return reason === undefined ? "" : `delayed connect error: ${reason}`;
}

/** A TLS handshake came to nothing; the message is OpenSSL's word for why, or `SECRET_NOT_SUPPLIED`. */
export class HandshakeError extends Error {}

/** A secret that TLS needs has not come: Envoy's words. */
export const SECRET_NOT_SUPPLIED = "TLS error: Secret is not supplied by SDS";

/** As Envoy's TLS sockets put it (`%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`). */
export function tlsFailureText(reason: string): string {
  return reason === SECRET_NOT_SUPPLIED ? reason : `TLS_error:|${reason}:TLS_error_end`;
}

/** What keeps a socket from being opened to listen, told with its address and what to do. */
export function listenErrorText(code: string, address: string): string {
  const reason = LISTEN_REASON[code];
  return reason === undefined ? `cannot listen on ${address}: ${code}` : `cannot listen on ${address}: ${reason}`;
}

/** Accepting failed since the process or the system has no descriptors or memory left; trying again at once would spin. */
export function isExhaustion(error: unknown): boolean {
  return EXHAUSTION.has(codeOf(error));
}

/** A non-blocking write found the kernel's buffer full. */
export function wouldBlock(error: unknown): boolean {
  const code = codeOf(error);
  return code === "EAGAIN" || code === "EWOULDBLOCK";
}

const REASON: Readonly<Record<string, string>> = {
  ECONNRESET: "reset by the peer",
  EPIPE: "closed by the peer while sending",
  ETIMEDOUT: "timed out: the peer does not acknowledge",
  EHOSTUNREACH: "lost: host unreachable",
  ENETUNREACH: "lost: network unreachable",
  ENETDOWN: "lost: network down",
  ECONNABORTED: "aborted",
};

/** As the C library puts it. A connection that timed out has no reason in Envoy: its own timer ends it. */
const STRERROR: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
  EADDRNOTAVAIL: "Cannot assign requested address",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files in system",
};

const DIAL_KIND: Readonly<Record<string, Failure["kind"]>> = {
  ECONNREFUSED: "connect-refused",
  ENOENT: "connect-refused", // the path of a Unix socket that nobody listens on
  ETIMEDOUT: "connect-timeout",
};

const LISTEN_REASON: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is in use (EADDRINUSE)",
  EADDRNOTAVAIL: "this host has no such address (EADDRNOTAVAIL)",
  EACCES: "permission denied (EACCES); ports below 1024 need privileges",
  EPERM: "permission denied (EPERM)",
  EMFILE: "too many open files (EMFILE)",
  ENFILE: "too many open files in the system (ENFILE)",
  EAFNOSUPPORT: "the address family is not supported (EAFNOSUPPORT)",
  ENOENT: "the folder of the socket does not exist (ENOENT)",
  ENAMETOOLONG: "the path of the socket is too long (ENAMETOOLONG)",
};

const EXHAUSTION: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
