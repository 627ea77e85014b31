import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { Log } from "../log.ts";
import type { AdminAnswer, AdminPage } from "./admin-page.ts";

const MAX_CONNECTIONS = 64;
const LIMITS = { maxHeaderSize: 16 * 1024, headersTimeout: 5000, requestTimeout: 10_000, keepAliveTimeout: 5000 };

/** Where it listens: a TCP port, or a Unix socket. */
export type AdminAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * The admin server of a program: what it holds and does, for people on its machine and for scrapers. It knows no part of
 * the program, only pages.
 *
 * It has no authentication, so it listens on loopback unless told otherwise, and it answers browsers only under names that
 * nobody else can own: a web page that has its own name resolve to this machine (DNS rebinding) is refused by Host, and one
 * that posts across origins by Origin.
 */
export class AdminServer {
  readonly #pages: ReadonlyMap<string, AdminPage>;
  readonly #log: Log;
  readonly #server: Server;
  /** In lower case, the name that the user chose to listen on; undefined for a Unix socket. */
  #ownName: string | undefined;

  constructor(pages: readonly AdminPage[], log: Log) {
    this.#pages = new Map(pages.map((page) => [page.path, page]));
    this.#log = log;
    this.#server = createServer(LIMITS, (request, response) => this.#handle(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Listens. Gives the address with the port that port 0 became, or what the system said. */
  listen<A extends AdminAddress>(address: A): Promise<Result<A, NodeJS.ErrnoException>> {
    this.#ownName = "host" in address ? address.host.toLowerCase() : undefined;
    return new Promise((resolve) => {
      this.#server.once("error", (error) => resolve(err(error)));
      this.#server.listen({ ...address, exclusive: true }, () => {
        const bound = this.#server.address();
        resolve(ok(typeof bound === "object" && bound !== null ? { ...address, port: bound.port } : address));
      });
    });
  }

  /** Ends it; answers that are being sent are cut. Resolves when the port is free. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    request.resume(); // no page reads a body
    let answer: AdminAnswer;
    try {
      answer = this.#answer(request);
    } catch (error) {
      // A page that fails must not end the program.
      this.#log.error("an admin page failed", { path: request.url, error });
      answer = { status: 500, body: "this page failed; the log says why\n" };
    }
    const { status = 200, contentType = "text/plain; charset=utf-8", body } = answer;
    response.writeHead(status, {
      "content-type": contentType,
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-cache, max-age=0",
      "x-content-type-options": "nosniff",
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }

  #answer(request: IncomingMessage): AdminAnswer {
    const { host, origin } = request.headers;
    if (!this.#ownsName(host)) return { status: 403, body: "use an IP address or localhost as the host\n" };
    const url = URL.parse(request.url ?? "/", "http://admin");
    if (url === null) return { status: 400, body: "the path cannot be read\n" };
    if (url.pathname === "/" || url.pathname === "/help") return { body: this.#help() };
    const page = this.#pages.get(url.pathname);
    if (page === undefined) return { status: 404, body: `there is no ${url.pathname}\n\n${this.#help()}` };
    if (page.method === "GET" && request.method !== "GET" && request.method !== "HEAD")
      return { status: 405, body: `${page.path} is read with GET\n` };
    if (page.method === "POST") {
      if (request.method !== "POST")
        return { status: 405, body: `${page.path} takes POST, since it changes something\n` };
      if (origin !== undefined && URL.parse(origin)?.host !== host)
        return { status: 403, body: "not across origins\n" };
    }
    return page.answer(url.searchParams);
  }

  /** An IP address cannot be rebound, and localhost and a Unix socket are this machine. */
  #ownsName(host: string | undefined): boolean {
    if (this.#ownName === undefined) return true;
    const name = (host ?? "")
      .replace(/:\d+$/, "")
      .replace(/^\[(.*)\]$/, "$1")
      .toLowerCase();
    return isIP(name) !== 0 || name === "localhost" || name === this.#ownName;
  }

  #help(): string {
    const pages = [...this.#pages.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const width = Math.max(0, ...pages.map(({ path }) => path.length));
    return pages
      .map(({ path, method, help }) => `${path.padEnd(width)}  ${method === "POST" ? "(POST) " : ""}${help}\n`)
      .join("");
  }
}
