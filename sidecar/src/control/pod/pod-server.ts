import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { sendBody } from "@heddle/telemetry/admin";

const LIMITS = { maxHeaderSize: 16 * 1024, headersTimeout: 5000, requestTimeout: 10_000, keepAliveTimeout: 5000 };
const MAX_CONNECTIONS = 256;
/** Of one address: a neighbour alone must not keep the kubelet out, which would restart the pod. */
const MAX_CONNECTIONS_PER_SOURCE = 32;
/** Answers that are made while they are sent: each holds a picture of what it shows. */
const MAX_STREAMED = 8;
/** Of one address: who reads slowly holds what it is sent for minutes, and a neighbour alone must not keep Prometheus out. */
const MAX_STREAMED_PER_SOURCE = 2;

export interface PodAnswer {
  /** 200 where unset. */
  readonly status?: number;
  readonly contentType?: string;
  /** Pieces are made while they are sent (`sendBody`). */
  readonly body: string | Iterable<string>;
}

/** What one path answers. */
export type PodPage = (request: IncomingMessage) => PodAnswer | Promise<PodAnswer>;

/**
 * A port of the sidecar that is open to the pod's network, for the kubelet and for scrapers. Whoever is in that network reaches it, so it
 * only shows, and knows nothing but its pages; what changes something is on admin, on loopback.
 */
export class PodServer {
  readonly #pages: ReadonlyMap<string, PodPage>;
  readonly #log: Log;
  readonly #server: Server;
  readonly #connectionsOf = new Map<string, number>();
  readonly #streamedTo: string[] = [];

  constructor(pages: ReadonlyMap<string, PodPage>, log: Log) {
    this.#pages = pages;
    this.#log = log;
    this.#server = createServer(LIMITS, (request, response) => void this.#handle(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("connection", (socket: Socket) => this.#count(socket));
  }

  /** Listens; "::" stands for 0.0.0.0 where the system has no IPv6. Gives the port, or what the system said. */
  async listen({
    address,
    port,
  }: {
    readonly address: string;
    readonly port: number;
  }): Promise<Result<number, string>> {
    const first = await this.#tryListen(address, port);
    if (first.ok) return first;
    const noIpv6 = first.error === "EAFNOSUPPORT" || first.error === "EADDRNOTAVAIL";
    return address === "::" && noIpv6 ? this.#tryListen("0.0.0.0", port) : first;
  }

  /** Ends it; answers that are being sent are cut. Resolves when the port is free. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #tryListen(host: string, port: number): Promise<Result<number, string>> {
    return new Promise((resolve) => {
      const failed = (error: NodeJS.ErrnoException): void => resolve(err(error.code ?? error.message));
      this.#server.once("error", failed);
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.off("error", failed);
        const bound = this.#server.address();
        resolve(ok(typeof bound === "object" && bound !== null ? bound.port : port));
      });
    });
  }

  #count(socket: Socket): void {
    const source = socket.remoteAddress ?? "";
    const count = this.#connectionsOf.get(source) ?? 0;
    if (count >= MAX_CONNECTIONS_PER_SOURCE) {
      socket.destroy();
      return;
    }
    this.#connectionsOf.set(source, count + 1);
    socket.once("close", () => {
      const left = (this.#connectionsOf.get(source) ?? 1) - 1;
      if (left > 0) this.#connectionsOf.set(source, left);
      else this.#connectionsOf.delete(source);
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: PodAnswer;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      this.#log.error("a page of the pod failed", { path: request.url, error });
      answer = { status: 500, body: "this page failed; the log says why\n" };
    }
    const source = request.socket.remoteAddress ?? "";
    if (typeof answer.body !== "string" && !this.#mayStream(source))
      answer = { status: 503, body: "too many scrapes are being answered; try again\n" };
    const { status = 200, contentType = "text/plain; charset=utf-8", body } = answer;
    response.writeHead(status, {
      "content-type": contentType,
      ...(typeof body === "string" ? { "content-length": Buffer.byteLength(body) } : {}),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(request.complete ? {} : { connection: "close" }), // somebody sends a body that nobody reads
    });
    request.resume();
    if (typeof body === "string" || request.method === "HEAD") {
      response.end(request.method === "HEAD" ? undefined : body);
      return;
    }
    this.#streamedTo.push(source);
    try {
      await sendBody(response, body);
    } catch (error) {
      this.#log.error("a page of the pod failed", { path: request.url, error });
    } finally {
      this.#streamedTo.splice(this.#streamedTo.indexOf(source), 1);
    }
  }

  #mayStream(source: string): boolean {
    const toSource = this.#streamedTo.filter((one) => one === source).length;
    return this.#streamedTo.length < MAX_STREAMED && toSource < MAX_STREAMED_PER_SOURCE;
  }

  #answer(request: IncomingMessage): PodAnswer | Promise<PodAnswer> {
    const path = (request.url ?? "").replace(/\?.*$/s, "");
    const page = this.#pages.get(path);
    if (page === undefined) return { status: 404, body: "there is no such page\n" };
    if (request.method !== "GET" && request.method !== "HEAD") return { status: 405, body: "GET alone is allowed\n" };
    return page(request);
  }
}
