import { type Clock, isJsonObject } from "@heddle/base";
import type { Agent, request as UndiciRequest } from "undici";
import type { ClusterAccess, Credentials } from "./cluster-access.ts";
import { KubeError, kubeErrorOf, reasonOf } from "./kube-error.ts";
import { type Line, LineReader } from "./line-reader.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface KubeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** "/api/v1/namespaces/shop/configmaps/a"; every part that comes from elsewhere encoded. */
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  /** Of a patch: "application/merge-patch+json". */
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface WatchRequest {
  readonly path: string;
  readonly query: Query;
  readonly accept?: string;
  /** Nothing came for so long: the watch is ended, since it may well be dead. */
  readonly silentMs: number;
  readonly signal: AbortSignal;
  /** The API server has begun to answer. */
  readonly onOpen: () => void;
  /** For each event, in their order; text of JSON. Throws to end the watch. */
  readonly onLine: (line: Line) => void;
}

/** What of an API server its clients use. `KubeClient` is the real one. */
export interface KubeApi {
  /** Rejects with a `KubeError`. */
  request(request: KubeRequest): Promise<unknown>;
  /** Resolves when the API server has ended it, as it does after a while. Rejects with a `KubeError`, or what `onLine` threw. */
  watch(request: WatchRequest): Promise<void>;
}

/** Until an answer begins, and for the whole of one that is no watch. An API server under load takes seconds. */
const ANSWER_MS = 30_000;
/** One page of 500 objects of the most that etcd takes would have 750 MB; what there is has a few. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;
const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** HTTP to an API server, by JSON. Redirects are not followed: our token is for that server alone. */
export class KubeClient implements KubeApi {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  readonly #userAgent: string;
  #connections: Connections | undefined;
  #isClosed = false;

  constructor(access: ClusterAccess, clock: Clock, userAgent = "heddle-control-plane") {
    this.#access = access;
    this.#clock = clock;
    this.#userAgent = userAgent;
  }

  async request(request: KubeRequest): Promise<unknown> {
    const deadline = AbortSignal.timeout(ANSWER_MS);
    const signal = request.signal === undefined ? deadline : AbortSignal.any([deadline, request.signal]);
    const response = await this.#send(request, signal);
    const text = await this.#textOf(response.body, signal);
    if (response.statusCode < 300) return parse(text);
    throw this.#errorOf(response, text);
  }

  async watch({ path, query, accept, silentMs, signal, onOpen, onLine }: WatchRequest): Promise<void> {
    const silence = new AbortController();
    const isOver = AbortSignal.any([signal, silence.signal]);
    let timer = this.#clock.after(ANSWER_MS, () => silence.abort(), true);
    const rewind = (): void => {
      timer.cancel();
      timer = this.#clock.after(silentMs, () => silence.abort(), true);
    };
    try {
      const response = await this.#send({ method: "GET", path, query, ...(accept && { accept }) }, isOver);
      if (response.statusCode !== 200) throw this.#errorOf(response, await this.#textOf(response.body, isOver));
      rewind();
      onOpen();
      const lines = new LineReader(MAX_LINE_BYTES, onLine);
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        rewind();
        lines.push(chunk);
      }
      lines.end();
    } catch (error) {
      if (silence.signal.aborted && !signal.aborted)
        throw new KubeError(0, "Silent", "the watch was silent for too long");
      throw error instanceof RangeError ? new KubeError(0, "Garbled", error.message) : noAnswer(error);
    } finally {
      timer.cancel();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#connections?.agent.destroy();
  }

  async #send(request: KubeRequest, signal: AbortSignal) {
    const { method, path, query = {}, body, contentType = "application/json", accept = "application/json" } = request;
    const url = new URL(`${this.#access.server}${path}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    try {
      const credentials = await this.#access.credentials();
      const { agent, send } = await this.#connect(credentials);
      return await send(url, {
        method,
        dispatcher: agent,
        headers: {
          ...credentials.headers,
          accept,
          "user-agent": this.#userAgent,
          ...(body !== undefined && { "content-type": contentType }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      });
    } catch (error) {
      throw noAnswer(error);
    }
  }

  #errorOf({ statusCode, headers }: { statusCode: number; headers: Headers }, text: string): KubeError {
    if (statusCode === 401) this.#access.forget(); // the token may just have been replaced
    const retryAfter = headers["retry-after"];
    return kubeErrorOf(statusCode, parseAny(text), typeof retryAfter === "string" ? retryAfter : undefined);
  }

  async #textOf(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body) {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) throw new KubeError(0, "", `an answer of more than ${MAX_ANSWER_BYTES} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof KubeError) throw error;
      throw signal.aborted ? new KubeError(0, "", "the answer did not come in time") : noAnswer(error);
    }
    return Buffer.concat(chunks).toString();
  }

  /** Loaded when first needed; made anew when what to show and whom to believe are others. */
  async #connect(credentials: Credentials): Promise<Connections> {
    const { ca, certificate, key, serverName } = credentials;
    const id = JSON.stringify([ca, certificate, key, serverName]);
    const { Agent, request } = await import("undici");
    // After it: requests that come at once find the same one.
    if (this.#connections?.id === id) return this.#connections;
    if (this.#isClosed) throw new KubeError(0, "", "closed");
    const agent = new Agent({
      connect: {
        ...(ca !== undefined && { ca }),
        ...(certificate !== undefined && { cert: certificate }),
        ...(key !== undefined && { key }),
        ...(serverName !== undefined && { servername: serverName }),
        rejectUnauthorized: true, // whatever the environment says
        timeout: 10_000,
        keepAlive: true,
        keepAliveInitialDelay: 30_000,
      },
      headersTimeout: ANSWER_MS,
      bodyTimeout: 0, // a watch may be silent; each request has its own limits
      keepAliveTimeout: 30_000,
    });
    void this.#connections?.agent.close().catch(() => undefined); // watches end by themselves
    this.#connections = { id, agent, send: request };
    return this.#connections;
  }
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

interface Connections {
  readonly id: string;
  readonly agent: Agent;
  readonly send: typeof UndiciRequest;
}

function noAnswer(error: unknown): KubeError {
  return error instanceof KubeError ? error : new KubeError(0, "", `no answer: ${reasonOf(error)}`);
}

function parse(text: string): unknown {
  const json = parseAny(text);
  if (!isJsonObject(json)) throw new KubeError(0, "", "the answer is no object");
  return json;
}

function parseAny(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
