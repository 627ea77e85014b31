import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type Http2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import type { Owner } from "./owner.ts";

/*
 * `ws` over HTTP/1 as it comes, and over HTTP/2: node:http2 asks by extended CONNECT (RFC 8441), and `ws` is given the
 * stream for a socket. Its own door for that (`setSocket`) is in none of its types.
 */
interface BareWebSocket {
  _isServer: boolean;
  setSocket(socket: Duplex, head: Buffer, options: { maxPayload: number; allowSynchronousEvents: boolean }): void;
}

const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** What the server notes of each connection when it has ended. */
export interface ClosedWebSocket {
  readonly code: number;
  readonly reason: string;
}

/** A server that sends each message back as it came, and closes as a text message "close <code> <reason>" says. */
export interface WebSocketPeer {
  readonly port: number;
  /** Newest last. */
  readonly closed: readonly ClosedWebSocket[];
  /** Connections that are open. */
  readonly open: number;
  /** Protocols asked for, extensions and the like: the heads that came. */
  readonly heads: readonly Readonly<Record<string, unknown>>[];
}

class Echo implements WebSocketPeer {
  port = 0;
  readonly closed: ClosedWebSocket[] = [];
  readonly heads: Readonly<Record<string, unknown>>[] = [];
  open = 0;

  serve(socket: WebSocket): void {
    this.open += 1;
    socket.on("message", (data: Buffer, isBinary) => {
      const [word, code, ...reason] = isBinary || data.length > 200 ? [] : String(data).split(" ");
      if (word === "close") socket.close(Number(code), reason.join(" "));
      else if (word === "cut") socket.terminate();
      else if (word === "ping") socket.ping("from the server");
      else socket.send(data, { binary: isBinary });
    });
    socket.on("error", () => {}); // `close` follows
    socket.on("close", (code, reason) => {
      this.open -= 1;
      this.closed.push({ code, reason: String(reason) });
    });
  }
}

export async function startWebSocketPeer(speaks: "h1" | "h2", owner: Owner): Promise<WebSocketPeer> {
  const echo = new Echo();
  if (speaks === "h1") {
    const server = new WebSocketServer({
      port: 0,
      host: "127.0.0.1",
      maxPayload: MAX_PAYLOAD_BYTES,
      perMessageDeflate: true,
      handleProtocols: (protocols) => [...protocols][0] ?? false,
    });
    server.on("connection", (socket, request) => {
      echo.heads.push(request.headers);
      echo.serve(socket);
    });
    owner.after(() => {
      for (const client of server.clients) client.terminate();
      server.close();
    });
    await once(server, "listening");
    echo.port = (server.address() as AddressInfo).port;
    return echo;
  }

  const server = createServer({ settings: { enableConnectProtocol: true } });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.on("stream", (stream, headers) => {
    echo.heads.push(headers);
    if (headers[":protocol"] !== "websocket") {
      stream.respond({ ":status": 400 }, { endStream: true });
      return;
    }
    const [protocol] = String(headers["sec-websocket-protocol"] ?? "").split(/, */);
    stream.respond({ ":status": 200, ...(protocol !== "" && { "sec-websocket-protocol": protocol }) });
    echo.serve(webSocketOver(stream, true));
  });
  owner.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  echo.port = (server.address() as AddressInfo).port;
  return echo;
}

export interface OpenOptions {
  readonly protocols?: readonly string[];
  /** permessage-deflate; h1 only. */
  readonly deflate?: boolean;
}

/** A client's WebSocket once it is open. */
export async function openWebSocket(
  speaks: "h1" | "h2",
  port: number,
  owner: Owner,
  { protocols = [], deflate = false }: OpenOptions = {},
): Promise<WebSocket> {
  if (speaks === "h1") {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, [...protocols], {
      perMessageDeflate: deflate,
      maxPayload: MAX_PAYLOAD_BYTES,
    });
    owner.after(() => socket.terminate());
    await once(socket, "open");
    return socket;
  }
  const session = connect(`http://127.0.0.1:${port}`);
  owner.after(() => session.destroy());
  const stream = await extendedConnect(session, port, protocols);
  const socket = webSocketOver(stream, false);
  socket.once("close", () => session.close());
  return socket;
}

async function extendedConnect(
  session: ClientHttp2Session,
  port: number,
  protocols: readonly string[],
): Promise<Http2Stream> {
  // A client may not ask before the server has said that it can (RFC 8441 section 3).
  if (session.remoteSettings?.enableConnectProtocol !== true) await once(session, "remoteSettings");
  const stream = session.request(
    {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":path": "/chat",
      ":authority": `127.0.0.1:${port}`,
      "sec-websocket-version": "13",
      ...(protocols.length > 0 && { "sec-websocket-protocol": protocols.join(", ") }),
    },
    { endStream: false },
  );
  const [headers] = (await once(stream, "response")) as [Readonly<Record<string, unknown>>];
  if (headers[":status"] !== 200) throw new Error(`answered with ${String(headers[":status"])}`);
  for (const name of ["sec-websocket-accept", "upgrade", "connection"])
    if (headers[name] !== undefined) throw new Error(`an answer over HTTP/2 has ${name}`);
  return stream;
}

function webSocketOver(stream: Duplex, isServer: boolean): WebSocket {
  const socket = Reflect.construct(WebSocket, [null, undefined, { autoPong: true, closeTimeout: 30_000 }]) as WebSocket;
  const bare = socket as unknown as BareWebSocket;
  bare._isServer = isServer;
  bare.setSocket(stream, Buffer.alloc(0), { maxPayload: MAX_PAYLOAD_BYTES, allowSynchronousEvents: true });
  return socket;
}
