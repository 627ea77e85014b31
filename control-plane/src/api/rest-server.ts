import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { isIP } from "node:net";
import { type Clock, err, ok, type Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { HostPort } from "../serve/address.ts";
import type { TlsFiles } from "../serve/tls-pair.ts";
import type { Caller } from "./access.ts";
import { answerCa, type CaAdministration } from "./ca-routes.ts";
import type { ResourceService } from "./resource-service.ts";
import { BodyRoom, HTTP_STATUS, type RestError, restError } from "./rest-request.ts";
import { answerRest, type RestAnswer } from "./rest-routes.ts";
import type { Access } from "./token-file.ts";
import { WatchPump } from "./watch-pump.ts";

export interface RestServerOptions {
  readonly service: ResourceService;
  readonly access: Access;
  /** Undefined: there is none. */
  readonly ca?: CaAdministration | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Left out: plaintext, for loopback. */
  readonly tls?: TlsFiles;
}

const MAX_CONNECTIONS = 512;
/** A head within 5 s, a request of 8 MiB within 30. */
const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
};

/**
 * The REST face of the resource API. It serves programs, no web pages: no request of a page is answered, so no page that
 * somebody has open can change the mesh behind his back.
 */
export class RestServer {
  readonly #options: RestServerOptions;
  readonly #server: Server | TlsServer;
  #ownName = "";
  readonly #watches = new Set<() => void>();
  readonly #bodies = new BodyRoom();

  constructor(options: RestServerOptions) {
    this.#options = options;
    const handle = (request: IncomingMessage, response: ServerResponse): void => void this.#handle(request, response);
    const { tls } = options;
    this.#server =
      tls === undefined
        ? createServer(LIMITS, handle)
        : createTlsServer({ ...LIMITS, cert: tls.certificate, key: tls.key, minVersion: "TLSv1.2" }, handle);
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("tlsClientError", (error: Error) =>
      options.log.debug("API: no handshake", { error: error.message }),
    );
  }

  /** Listens. Gives the address with the port that port 0 became, or what the system said. */
  listen(address: HostPort): Promise<Result<HostPort, NodeJS.ErrnoException>> {
    this.#ownName = address.host.toLowerCase();
    return new Promise((resolve) => {
      this.#server.once("error", (error) => resolve(err(error)));
      this.#server.listen({ ...address, exclusive: true }, () => {
        const bound = this.#server.address();
        resolve(ok(typeof bound === "object" && bound !== null ? { ...address, port: bound.port } : address));
      });
    });
  }

  /** Takes another certificate for the handshakes to come. Throws where the two do not fit. */
  renew({ certificate, key }: TlsFiles): void {
    (this.#server as TlsServer).setSecureContext({ cert: certificate, key, minVersion: "TLSv1.2" });
  }

  /** Ends it; answers that are being sent are cut. Resolves when the port is free. */
  close(): Promise<void> {
    for (const end of this.#watches) end();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined); // the client is gone
    const caller = this.#admit(request);
    if (!caller.ok) return sendError(request, response, caller.error);
    let answer: Result<RestAnswer, RestError>;
    try {
      answer =
        (await answerCa(this.#options.ca, caller.value, request, this.#bodies)) ??
        (await answerRest(this.#options.service, caller.value, request, this.#bodies));
    } catch (error) {
      this.#options.log.error("a call of the resource API failed", {
        method: request.method,
        path: request.url,
        error,
      });
      answer = err(restError(500, "the call failed; the control plane's log says why", "INTERNAL"));
    }
    if (!answer.ok) return sendError(request, response, answer.error);
    if (answer.value.type === "watch") return this.#watch(request, response, caller.value, answer.value);
    sendJson(request, response, answer.value.status, answer.value.body, answer.value.headers);
  }

  /** Before anything of the body is read. */
  #admit({ headers }: IncomingMessage): Result<Caller, RestError> {
    const { access } = this.#options;
    // A page that has its own name resolve to this machine (DNS rebinding) says that name here. With tokens it has none.
    if (access.isOpen && !this.#ownsName(headers.host))
      return err(restError(403, "use an IP address or localhost as the host", "PERMISSION_DENIED"));
    if (headers.origin !== undefined) return err(restError(403, "not for web pages", "PERMISSION_DENIED"));
    const caller = access.callerOf(headers.authorization);
    if (caller !== undefined) return ok(caller);
    return err(restError(401, "no token that is known", "UNAUTHENTICATED", { "www-authenticate": "Bearer" }));
  }

  #ownsName(host: string | undefined): boolean {
    const name = (host ?? "")
      .replace(/:\d+$/, "")
      .replace(/^\[(.*)\]$/, "$1")
      .toLowerCase();
    return isIP(name) !== 0 || name === "localhost" || name === this.#ownName;
  }

  #watch(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    { selector, fromRevision }: RestAnswer & { readonly type: "watch" },
  ): void {
    const { service, access, clock } = this.#options;
    const pump = new WatchPump(
      {
        write: (event) => response.write(`${JSON.stringify(event)}\n`),
        end: () => response.destroy(),
      },
      clock,
    );
    const watch = service.watch(caller, selector, fromRevision, () => pump.run());
    if (!watch.ok) {
      sendError(request, response, { error: watch.error });
      return;
    }
    const end = (): void => {
      this.#watches.delete(end);
      unwatchAccess();
      pump.close();
      response.destroy();
    };
    // A token that is taken away takes its watches along; one that may now see something else begins anew.
    const unwatchAccess = access.onChange(() => {
      if (JSON.stringify(access.callerOf(request.headers.authorization)) !== JSON.stringify(caller)) end();
    });
    this.#watches.add(end);
    response.writeHead(200, { ...HEADERS, "content-type": "application/x-ndjson" });
    response.flushHeaders();
    response.on("drain", () => pump.drained());
    response.on("close", end);
    pump.start(watch.value);
  }
}

const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;

function sendError(request: IncomingMessage, response: ServerResponse, { error, status, headers }: RestError): void {
  const retry = error.retryAfterS === undefined ? {} : { "retry-after": String(error.retryAfterS) };
  sendJson(request, response, status ?? HTTP_STATUS[error.code], { error }, { ...retry, ...headers });
}

function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = status === 304 ? "" : `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    ...HEADERS,
    ...(status === 304 ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    ...headers,
    ...(request.complete ? {} : { connection: "close" }), // somebody sends more than anybody reads
  });
  response.end(request.method === "HEAD" ? undefined : text);
  request.resume();
}
