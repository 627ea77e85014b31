import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { PATIENCE_MS } from "./eventually.ts";
import type { Owner } from "./owner.ts";

/** An HTTP/1 message as it came, read with none of the code that is tested. */
export interface RawMessage {
  /** "GET / HTTP/1.1" or "HTTP/1.1 200 OK". */
  readonly startLine: string;
  /** Of an answer; NaN for a request. */
  readonly status: number;
  /** Names in lower case, repeated ones joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly chunked: boolean;
  readonly trailers: ReadonlyMap<string, string>;
}

export interface MessageOptions {
  /** It answers HEAD: no body whatever its head says. */
  readonly bodyless?: boolean;
}

/**
 * One end of a TCP connection as a script: bytes are sent as they stand, and reads take from what has come. Half-open:
 * nothing ends on its own.
 */
export class RawPeer {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  /** The other side has sent FIN. */
  ended = false;
  /** Why the connection broke: "ECONNRESET". */
  error: string | undefined;
  #received: Buffer[] = [];
  #length = 0;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#length += chunk.length;
      this.#wake?.();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#wake?.();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
    socket.on("close", () => {
      this.ended = true;
      this.#wake?.();
    });
  }

  static async connect(port: number, owner: Owner): Promise<RawPeer> {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    owner.after(() => void socket.destroy());
    const peer = new RawPeer(socket);
    await once(socket, "connect");
    return peer;
  }

  /** Resolves when the kernel has taken the bytes. */
  send(bytes: string | Uint8Array): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, () => resolve());
    return promise;
  }

  /** Sends FIN; still reads. */
  end(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** What has come and was not yet read. */
  get waiting(): number {
    return this.#length;
  }

  /** Reads up to and with the marker. */
  async readUntil(marker: string): Promise<string> {
    for (;;) {
      const bytes = this.#join();
      const at = bytes.indexOf(marker, 0, "latin1");
      if (at !== -1) return this.#take(at + marker.length).toString("latin1");
      await this.#more(`"${marker}"`);
    }
  }

  async read(length: number): Promise<Buffer> {
    while (this.#length < length) await this.#more(`${length} bytes`);
    return this.#take(length);
  }

  /** Everything until the other side ends, however it ends. */
  async readToEnd(): Promise<string> {
    while (!this.ended) await this.#more("the end");
    return this.#take(this.#length).toString("latin1");
  }

  async message({ bodyless = false }: MessageOptions = {}): Promise<RawMessage> {
    const head = (await this.readUntil("\r\n\r\n")).slice(0, -4).split("\r\n");
    const startLine = head[0] ?? "";
    const status = startLine.startsWith("HTTP/") ? Number(startLine.split(" ")[1]) : Number.NaN;
    const headers = fieldsOf(head.slice(1));
    const base = { startLine, status, headers, trailers: new Map<string, string>() };
    const chunked = headers.get("transfer-encoding") === "chunked";
    if (bodyless || status < 200 || status === 204 || status === 304)
      return { ...base, chunked, body: Buffer.alloc(0) };
    if (chunked) return { ...base, chunked, ...(await this.#chunks()) };
    const length = headers.get("content-length");
    if (length !== undefined) return { ...base, chunked, body: await this.read(Number(length)) };
    if (Number.isNaN(status)) return { ...base, chunked, body: Buffer.alloc(0) };
    return { ...base, chunked, body: Buffer.from(await this.readToEnd(), "latin1") };
  }

  async #chunks(): Promise<{ body: Buffer; trailers: ReadonlyMap<string, string> }> {
    const chunks: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt(await this.readUntil("\r\n"), 16);
      if (size === 0) break;
      chunks.push(await this.read(size));
      await this.readUntil("\r\n");
    }
    const trailers: string[] = [];
    for (let line = await this.readUntil("\r\n"); line !== "\r\n"; line = await this.readUntil("\r\n"))
      trailers.push(line.slice(0, -2));
    return { body: Buffer.concat(chunks), trailers: fieldsOf(trailers) };
  }

  async #more(what: string): Promise<void> {
    const fail = (why: string): never => {
      const got = this.#join().subarray(0, 400).toString("latin1");
      throw new Error(`${why} while ${what} was waited for; came so far: ${JSON.stringify(got)}`);
    };
    if (this.ended) fail(`the connection ended (${this.error ?? "FIN"})`);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#wake = () => resolve(true);
    const timer = setTimeout(() => resolve(false), PATIENCE_MS);
    const came = await promise;
    clearTimeout(timer);
    this.#wake = undefined;
    if (!came) fail(`nothing came for ${PATIENCE_MS / 1000} s`);
  }

  #join(): Buffer {
    const only = this.#received[0];
    if (this.#received.length === 1 && only !== undefined) return only;
    const all = Buffer.concat(this.#received);
    this.#received = [all];
    return all;
  }

  #take(length: number): Buffer {
    const all = this.#join();
    this.#received = [all.subarray(length)];
    this.#length -= length;
    return all.subarray(0, length);
  }
}

/** A server whose connections are scripts: `next()` is the next one that was accepted. */
export class RawUpstream {
  readonly port: number;
  /** Connections so far. */
  accepted = 0;
  readonly #server: Server;
  readonly #peers = new Set<RawPeer>();
  readonly #queue: RawPeer[] = [];
  readonly #wanted: ((peer: RawPeer) => void)[] = [];
  #handler: ((peer: RawPeer) => Promise<void>) | undefined;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => this.#accept(new RawPeer(socket)));
  }

  static async listen(owner: Owner): Promise<RawUpstream> {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const upstream = new RawUpstream(server);
    owner.after(() => upstream.close());
    return upstream;
  }

  /** Connections that the other side has not ended. */
  get open(): number {
    return [...this.#peers].filter(({ ended }) => !ended).length;
  }

  next(): Promise<RawPeer> {
    const peer = this.#queue.shift();
    if (peer !== undefined) return Promise.resolve(peer);
    const { promise, resolve, reject } = Promise.withResolvers<RawPeer>();
    const timer = setTimeout(() => reject(new Error("no connection came")), PATIENCE_MS);
    this.#wanted.push((accepted) => {
      clearTimeout(timer);
      resolve(accepted);
    });
    return promise;
  }

  /** From now on connections are served by a script that runs once for each. When it throws the connection is over. */
  serve(handler: (peer: RawPeer) => Promise<void>): void {
    this.#handler = handler;
  }

  /** Each request is answered with these bytes, on as many connections as there are. */
  answerAll(answer: string): void {
    this.serve(async (peer) => {
      for (;;) {
        await peer.message();
        await peer.send(answer);
      }
    });
  }

  /** Nobody listens there any more; connections end. */
  async close(): Promise<void> {
    for (const peer of this.#peers) peer.socket.destroy();
    if (!this.#server.listening) return;
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(peer: RawPeer): void {
    this.accepted += 1;
    this.#peers.add(peer);
    void peer.closed.then(() => this.#peers.delete(peer));
    if (this.#handler !== undefined) {
      this.#handler(peer).catch(() => peer.socket.destroy());
      return;
    }
    const wanted = this.#wanted.shift();
    if (wanted === undefined) this.#queue.push(peer);
    else wanted(peer);
  }
}

function fieldsOf(lines: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).toLowerCase();
    const value = line.slice(at + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}
