import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Json } from "@heddle/base";
import { formatHostPort, type HostPort, ListenError } from "../serve/address.ts";

/** What one path of the admin server answers. */
export interface AdminPage {
  readonly path: string;
  readonly summary: string;
  readonly answer: (query: URLSearchParams) => AdminAnswer;
}

export interface AdminAnswer {
  readonly status: number;
  readonly body: Json | string;
}

export interface AdminServer {
  readonly address: HostPort;
  close(): Promise<void>;
}

/** Serves pages as JSON. For people and `heddle status` on this machine: it has no way to ask who is there. */
export async function serveAdmin(pages: readonly AdminPage[], address: HostPort): Promise<AdminServer> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, maxHeaderSize: 16 * 1024 },
    (request, response) => {
      const { status, body } = answer(pages, request);
      send(request, response, status, body);
    },
  );
  server.keepAliveTimeout = 5000;
  const port = await listen(server, address);
  return {
    address: { host: address.host, port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(pages: readonly AdminPage[], request: IncomingMessage): AdminAnswer {
  // A page in a browser may be made to send requests here under a name of its own (DNS rebinding); not under these.
  if (!isLocalName(request.headers.host ?? ""))
    return { status: 403, body: { error: "the Host is not of this machine" } };
  if (request.method !== "GET" && request.method !== "HEAD") return { status: 405, body: { error: "only GET" } };
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://admin");
  if (pathname === "/")
    return { status: 200, body: Object.fromEntries(pages.map(({ path, summary }) => [path, summary])) };
  const page = pages.find(({ path }) => path === pathname);
  if (page === undefined) return { status: 404, body: { error: `there is no ${pathname}; see /` } };
  return page.answer(searchParams);
}

function isLocalName(host: string): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || isIP(name) !== 0;
}

function send(request: IncomingMessage, response: ServerResponse, status: number, body: Json | string): void {
  const text = typeof body === "string" ? body : `${JSON.stringify(body, null, 2)}\n`;
  response.writeHead(status, {
    "content-type": typeof body === "string" ? "text/plain; charset=utf-8" : "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : text);
}

function listen(server: Server, address: HostPort): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new ListenError("admin", address, "--admin-address", error)));
    server.listen({ host: address.host, port: address.port, exclusive: true }, () => {
      const bound = server.address();
      resolve(typeof bound === "object" && bound !== null ? bound.port : address.port);
    });
  });
}

/** "http://127.0.0.1:15014" */
export function adminUrl(address: HostPort): string {
  return `http://${formatHostPort(address)}`;
}
