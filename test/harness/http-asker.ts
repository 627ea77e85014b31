import { once } from "node:events";
import { Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { request as requestOverTls, Agent as TlsAgent } from "node:https";
import { bytesOf } from "./echo-server.ts";
import type { Owner } from "./owner.ts";

export interface Question {
  readonly method?: string;
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: readonly Buffer[];
  readonly trailers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Statuses of interim answers, in their order. */
  readonly interim: readonly number[];
}

/** One of Node's clients: one connection of HTTP/2, or up to four of HTTP/1. */
export interface Asker {
  readonly speaks: "h1" | "h2";
  ask(question: Question): Promise<Answer>;
}

export interface AskerOptions {
  /** What is asked, in Host or `:authority`. */
  readonly authority?: string;
  /** Over TLS, with HTTP/2 by ALPN: who has signed the certificate (PEM), which is for 127.0.0.1. */
  readonly trusted?: string;
}

export function http1Asker(port: number, owner: Owner, options: AskerOptions = {}): Asker {
  const { authority = "asked.test", trusted } = options;
  const kept = { keepAlive: true, maxSockets: 4 };
  const agent = trusted === undefined ? new Agent(kept) : new TlsAgent({ ...kept, ca: trusted, servername: "" }); // not Host's
  const send = trusted === undefined ? request : requestOverTls;
  owner.after(() => agent.destroy());
  return {
    speaks: "h1",
    ask({ method = "GET", path, headers = {}, body = [], trailers }) {
      const answered = Promise.withResolvers<Answer>();
      const interim: number[] = [];
      const asked = send({ host: "127.0.0.1", port, agent, method, path, headers: { host: authority, ...headers } });
      asked.on("information", ({ statusCode }) => interim.push(statusCode));
      asked.on("error", answered.reject);
      asked.on("response", (response) => {
        void bytesOf(response).then((bytes) => {
          const { statusCode = 0, headers: came, trailers: behind } = response;
          answered.resolve({ status: statusCode, headers: came, trailers: behind, body: bytes, interim });
        }, answered.reject);
      });
      const finish = (): void => {
        for (const piece of body) asked.write(piece);
        if (trailers !== undefined) asked.addTrailers(trailers);
        asked.end();
      };
      if (!("expect" in headers)) finish();
      else {
        asked.once("continue", () => {
          interim.push(100);
          finish();
        });
        asked.flushHeaders();
      }
      return answered.promise;
    },
  };
}

/** By prior knowledge where there is no TLS. */
export async function http2Asker(port: number, owner: Owner, options: AskerOptions = {}): Promise<Asker> {
  const { authority = "asked.test", trusted } = options;
  const session = await http2Session(port, owner, trusted);
  return {
    speaks: "h2",
    async ask({ method = "GET", path, headers = {}, body = [], trailers }) {
      const stream = session.request(
        { ":method": method, ":path": path, ":authority": authority, ...headers },
        { endStream: body.length === 0 && trailers === undefined, waitForTrailers: trailers !== undefined },
      );
      const interim: number[] = [];
      stream.on("headers", (came) => interim.push(Number(came[":status"])));
      let behind: IncomingHttpHeaders = {};
      stream.on("trailers", (came) => (behind = came));
      stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
      stream.on("error", () => {}); // whoever waits hears of it, too
      const answered = once(stream, "response") as Promise<[IncomingHttpHeaders & { ":status"?: number }]>;
      if ("expect" in headers) {
        stream.once("continue", () => {
          interim.push(100);
          finish(stream, body);
        });
      } else finish(stream, body);
      const [came] = await answered;
      const bytes = await bytesOf(stream);
      if (stream.rstCode !== 0) throw new Error(`the stream ended with code ${stream.rstCode}`);
      return { status: Number(came[":status"]), headers: came, trailers: behind, body: bytes, interim };
    },
  };
}

/** With windows that let a test's large bodies through in fair time. `trusted` as of {@link AskerOptions}. */
export async function http2Session(port: number, owner: Owner, trusted?: string): Promise<ClientHttp2Session> {
  const settings = { initialWindowSize: 1 << 20 };
  const session = connect(
    `${trusted === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    trusted === undefined ? { settings } : { settings, ca: trusted },
  );
  owner.after(() => session.destroy());
  await once(session, "connect");
  session.setLocalWindowSize(1 << 20);
  return session;
}

function finish(stream: ClientHttp2Stream, body: readonly Buffer[]): void {
  if (stream.writableEnded) return;
  for (const piece of body) stream.write(piece);
  stream.end();
}
