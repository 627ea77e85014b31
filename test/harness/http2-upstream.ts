import {
  constants,
  createServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Owner } from "./owner.ts";

export interface Http2Request {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly session: ServerHttp2Session;
  /** Of all sessions, from 1. */
  readonly sessionNumber: number;
}

/** An HTTP/2 server that is not ours (node:http2, plaintext) and counts what reaches it. */
export class Http2Upstream {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  /** The most streams that one session had open at a time. */
  mostStreams = 0;

  constructor(port: number, sessions: ServerHttp2Session[]) {
    this.port = port;
    this.sessions = sessions;
  }

  get open(): number {
    return this.sessions.filter(({ destroyed }) => !destroyed).length;
  }

  static async listen(
    owner: Owner,
    onRequest: (request: Http2Request) => void,
    settings: Settings = {},
  ): Promise<Http2Upstream> {
    const server = createServer({ settings });
    const sessions: ServerHttp2Session[] = [];
    server.on("session", (session) => {
      sessions.push(session);
      session.on("error", () => undefined);
    });
    const streams = new Map<Http2Session, number>();
    server.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      const session = stream.session as ServerHttp2Session; // it has just begun
      const open = (streams.get(session) ?? 0) + 1;
      streams.set(session, open);
      upstream.mostStreams = Math.max(upstream.mostStreams, open);
      stream.once("close", () => streams.set(session, (streams.get(session) ?? 1) - 1));
      onRequest({ stream, headers, session, sessionNumber: sessions.indexOf(session) + 1 });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    owner.after(async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    const upstream = new Http2Upstream((server.address() as AddressInfo).port, sessions);
    return upstream;
  }
}

/** Answers 200 with the body once the whole request has come. */
export function answerOk(stream: ServerHttp2Stream, body = "ok"): void {
  stream.resume();
  stream.once("end", () => {
    if (stream.destroyed) return;
    stream.respond({ ":status": 200 });
    stream.end(body);
  });
}

export function refuse(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_REFUSED_STREAM);
}
