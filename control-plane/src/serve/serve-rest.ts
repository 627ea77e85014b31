import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RestDiscovery } from "@heddle/xds/server";
import { type HostPort, isLoopback, ListenError } from "./address.ts";

/** The HTTP server that carries REST-JSON discovery, listening. */
export interface ServedRest {
  /** With the port that was taken where 0 was asked for. */
  readonly address: HostPort;
  close(): Promise<void>;
}

/** A request is a list of names. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_CONNECTIONS = 2000;
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 60_000;

/**
 * Serves REST-JSON discovery, in plaintext, so on loopback only. No page of a browser is answered, also not one whose name
 * resolves to this machine: every POST of a browser has an Origin, and with a Host of any name Envoy polls too. Rejects with a
 * ListenError where the address cannot be taken.
 */
export async function serveRest(discovery: RestDiscovery, address: HostPort): Promise<ServedRest> {
  const flag = "--xds-rest-address";
  if (!isLoopback(address.host))
    throw new ListenError("REST xDS", address, flag, new Error("is not loopback, and this port has no TLS"));
  const server = createServer(
    { headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: IDLE_TIMEOUT_MS },
    (request, response) => {
      if (request.headers.origin !== undefined) {
        refuse(response, 403, "not for web pages");
        return;
      }
      readBody(request, (body) => answer(discovery, request, body, response));
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new ListenError("REST xDS", address, flag, error)));
    server.listen(address.port, address.host, resolve);
  });
  return {
    address: { host: address.host, port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Calls back once, with undefined where the body is too long; not at all where the client went away. */
function readBody(request: IncomingMessage, done: (body: string | undefined) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    if (bytes > MAX_BODY_BYTES) return;
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) done(undefined);
    else chunks.push(chunk);
  });
  request.on("end", () => {
    if (bytes <= MAX_BODY_BYTES) done(Buffer.concat(chunks).toString("utf8"));
  });
}

function answer(
  discovery: RestDiscovery,
  request: IncomingMessage,
  body: string | undefined,
  response: ServerResponse,
): void {
  const { method = "", url = "", headers } = request;
  if (body === undefined) {
    refuse(response, 413, `the body has more than ${MAX_BODY_BYTES} bytes`);
    return;
  }
  const { status, body: text } = discovery.answer({ method, path: url, contentType: headers["content-type"], body });
  if (status === 304) {
    response.writeHead(304);
    response.end();
    return;
  }
  const isJson = status === 200;
  response.writeHead(status, {
    "content-type": isJson ? "application/json" : "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    ...(status === 405 && { allow: "POST" }),
  });
  response.end(isJson ? text : `${text}\n`);
}

/** Before the body has been read whole. */
function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { "content-type": "text/plain", connection: "close" });
  response.end(`${why}\n`);
}
