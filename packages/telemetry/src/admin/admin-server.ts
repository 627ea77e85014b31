import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { Log } from "../log.ts";
import { adminListHtml, adminListText } from "./admin-list.ts";
import type { AdminAnswer, AdminPage } from "./admin-page.ts";
import { Places } from "./places.ts";
import { sendBody } from "./send-body.ts";

const MAX_CONNECTIONS = 64;
/** Of a posted form; nothing else that is sent is kept. */
const MAX_BODY_BYTES = 64 * 1024;
/** Answers that are made while they are sent: each holds a picture of what it shows. */
const MAX_STREAMED = 8;
/** For one of them; the others may have slow readers. */
const STREAMED_WAIT_MS = 10_000;
const FORM = "application/x-www-form-urlencoded";
const HTML = "text/html; charset=utf-8";
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
  readonly #streamed = new Places(MAX_STREAMED, STREAMED_WAIT_MS);
  /** In lower case, the name that the user chose to listen on; undefined for a Unix socket. */
  #ownName: string | undefined;

  constructor(pages: readonly AdminPage[], log: Log) {
    const own: AdminPage[] = [
      {
        path: "/",
        method: "GET",
        help: "everything in this list, to click",
        answer: () => ({ contentType: HTML, body: adminListHtml([...this.#pages.values()]) }),
      },
      { path: "/help", method: "GET", help: "this list", answer: () => ({ body: this.#help() }) },
    ];
    this.#pages = new Map([...own, ...pages].map((page) => [page.path, page]));
    this.#log = log;
    this.#server = createServer(LIMITS, (request, response) => void this.#handle(request, response));
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

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: AdminAnswer;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      // A page that fails must not end the program.
      this.#log.error("an admin page failed", { path: request.url, error });
      answer = { status: 500, body: "this page failed; the log says why\n" };
    }
    const isStreamed = typeof answer.body !== "string" && request.method !== "HEAD";
    if (isStreamed && !(await this.#streamed.take(response)))
      answer = { status: 503, body: `${MAX_STREAMED} large answers are being sent; try again\n` };
    const { status = 200, contentType = "text/plain; charset=utf-8", body } = answer;
    response.writeHead(status, {
      "content-type": contentType,
      ...(typeof body === "string" ? { "content-length": Buffer.byteLength(body) } : {}),
      "cache-control": "no-cache, max-age=0",
      "x-content-type-options": "nosniff",
      "content-security-policy":
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
      ...(request.complete ? {} : { connection: "close" }), // somebody sends more than anybody reads
    });
    request.resume();
    if (typeof body === "string" || request.method === "HEAD") {
      response.end(request.method === "HEAD" ? undefined : body);
      return;
    }
    try {
      await sendBody(response, body);
    } catch (error) {
      this.#log.error("an admin page failed", { path: request.url, error });
    } finally {
      this.#streamed.leave();
    }
  }

  async #answer(request: IncomingMessage): Promise<AdminAnswer> {
    const { host, origin } = request.headers;
    if (!this.#ownsName(host)) return { status: 403, body: "use an IP address or localhost as the host\n" };
    const url = URL.parse(request.url ?? "/", "http://admin");
    if (url === null) return { status: 400, body: "the path cannot be read\n" };
    const { pathname, searchParams: query } = url;
    const page = this.#pages.get(pathname);
    if (page === undefined) return { status: 404, body: `there is no ${pathname}: invalid path. ${this.#help()}` };
    const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
    const shows = page.method === "GET" || (page.showsWithGet === true && query.size === 0);
    if (method !== page.method && !(method === "GET" && shows))
      return { status: 405, body: `Method ${request.method} not allowed, ${page.method} required.\n` };
    if (method === "POST" && origin !== undefined && URL.parse(origin)?.host !== host)
      return { status: 403, body: "not across origins\n" };
    const body = await readBody(request);
    if (body === undefined) return { status: 413, body: `a body may have ${MAX_BODY_BYTES} bytes\n` };
    if (method === "POST" && request.headers["content-type"]?.split(";")[0]?.trim() === FORM) {
      for (const [name, value] of new URLSearchParams(body)) if (!query.has(name)) query.append(name, value);
    }
    return page.answer(query);
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
    return adminListText([...this.#pages.values()]);
  }
}

/** The body as text; undefined where it is too large, or where the client went before its end. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_BODY_BYTES) return undefined;
      chunks.push(chunk as Buffer);
    }
  } catch {
    return undefined; // nobody is there to be answered, and half a form must change nothing
  }
  return Buffer.concat(chunks).toString("latin1");
}
