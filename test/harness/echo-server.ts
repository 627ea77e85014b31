import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Owner } from "./owner.ts";

type Request = IncomingMessage | Http2ServerRequest;
/** What both have, which is all but the types. */
type Response = ServerResponse;

/**
 * Node's own server of HTTP/1 or, by prior knowledge, of HTTP/2. What is asked for is in the path:
 *
 *   /echo/length, /echo/chunks   the request's body; x-request-digest is its SHA-256
 *   /length/N                    N times "x", with a content-length
 *   /status/N                    no body
 *   /fields                      some fields of the request as JSON, and two set-cookie
 *   /trailers                    the request's trailer x-sum; a trailer x-sum of its own
 *   /hints                       103 (Early Hints) first
 *   /early                       413 before the body has come, which nobody reads
 *   /hang                        never answered
 *   /half                        the connection or stream is reset within the body
 *   /endless                     bytes for as long as somebody takes them
 *   /stalled                     200 at once; the request's body is never read
 */
export class EchoServer {
  port = 0;
  /** Every connection there was. */
  readonly sockets = new Set<Socket>();
  /** Requests for /hang and /stalled that are open. */
  hanging = 0;
  /** What /endless has got rid of, in bytes. */
  endlessBytes = 0;

  static async listen(speaks: "h1" | "h2", owner: Owner): Promise<EchoServer> {
    const echo = new EchoServer();
    const server = speaks === "h1" ? echo.#http1() : echo.#http2();
    server.on("connection", (socket: Socket) => echo.sockets.add(socket));
    owner.after(() => {
      server.close();
      for (const socket of echo.sockets) socket.destroy(); // an upgraded one is the server's no longer
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    echo.port = (server.address() as AddressInfo).port;
    return echo;
  }

  #http1(): Server {
    const server = createServer((req, res) => void this.#answer(req, res));
    server.on("checkContinue", (req, res) => {
      res.writeContinue();
      void this.#answer(req, res);
    });
    server.on("upgrade", (_req: IncomingMessage, socket: Duplex) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
    });
    server.keepAliveTimeout = 60_000;
    return server;
  }

  #http2(): Server {
    const server = createHttp2Server({ settings: { initialWindowSize: 1 << 20, enableConnectProtocol: true } });
    server.on("session", (session) => session.setLocalWindowSize(1 << 20));
    server.on("sessionError", () => {}); // its streams tell
    const answer = (req: Http2ServerRequest, res: Http2ServerResponse): void => {
      if (req.headers[":protocol"] !== undefined) return; // `stream` has it
      void this.#answer(req, res as unknown as Response);
    };
    server.on("request", answer);
    server.on("checkContinue", (req, res) => {
      res.writeContinue();
      answer(req, res);
    });
    server.on("stream", (stream, headers) => {
      if (headers[":protocol"] === undefined) return;
      stream.respond({ ":status": 200 });
      stream.on("error", () => stream.destroy());
      stream.pipe(stream);
    });
    return server;
  }

  async #answer(req: Request, res: Response): Promise<void> {
    req.on("error", () => {}); // "close" tells
    res.on("error", () => {});
    const [, what = "", detail = ""] = (req.url ?? "").split("/");
    switch (what) {
      case "early":
        res.writeHead(413, { "content-length": 5 });
        res.end("early");
        return;
      case "hang":
      case "stalled":
        this.hanging += 1;
        res.on("close", () => (this.hanging -= 1));
        if (what === "stalled") {
          res.writeHead(200);
          res.write("begun");
        }
        return;
      case "half":
        res.writeHead(200, { "content-length": 100 });
        res.write("half", () => setTimeout(() => cut(req), 20)); // behind the bytes
        return;
      case "endless": {
        res.writeHead(200);
        const more = (): void => {
          while (!res.destroyed && res.write(ENDLESS)) this.endlessBytes += ENDLESS.length;
        };
        res.on("drain", () => {
          this.endlessBytes += ENDLESS.length;
          more();
        });
        more();
        return;
      }
    }
    const body = await bytesOf(req).catch(() => undefined);
    if (body === undefined) return;
    switch (what) {
      case "echo":
        res.setHeader("x-request-digest", sha256(body));
        if (detail === "length") res.setHeader("content-length", body.length);
        res.flushHeaders();
        res.end(body);
        return;
      case "length":
        res.setHeader("content-length", detail);
        res.end("x".repeat(Number(detail)));
        return;
      case "status":
        res.writeHead(Number(detail));
        res.end();
        return;
      case "fields":
        res.setHeader("set-cookie", ["a=1", "b=2; Path=/"]);
        res.end(
          JSON.stringify({
            host: req.headers.host ?? req.headers[":authority"],
            long: String(req.headers["x-long"]).length,
            latin: req.headers["x-latin"],
            empty: req.headers["x-empty"],
            cookie: req.headers.cookie,
            te: req.headers.te,
          }),
        );
        return;
      case "trailers":
        if (req.httpVersionMajor === 1) res.setHeader("trailer", "x-sum");
        res.write(String(req.trailers["x-sum"]));
        res.addTrailers({ "x-sum": "from the server" });
        res.end();
        return;
      case "hints":
        res.writeEarlyHints({ link: "</style.css>; rel=preload" });
        res.end("hinted");
        return;
      default:
        res.writeHead(404);
        res.end();
    }
  }
}

const ENDLESS = Buffer.alloc(64 * 1024, "e");

function cut(req: Request): void {
  if ("stream" in req)
    req.stream.close(2); // INTERNAL_ERROR
  else req.socket.resetAndDestroy();
}

export async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
