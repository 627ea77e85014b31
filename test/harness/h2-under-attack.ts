import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "./envoy-config.ts";
import { eventually, untilStill } from "./eventually.ts";
import { headers, request } from "./h2-frames.ts";
import { H2Peer, type H2PeerOptions } from "./h2-peer.ts";
import { lastFirst, type Owner } from "./owner.ts";
import { type SidecarOptions, type SidecarProcess, startSidecar } from "./sidecar.ts";

/**
 * An upstream of HTTP/1 that counts. `/bytes/N` is answered with so many bytes, `/hold` never, `/forever` with bytes until the
 * reader goes; the rest with the number of bytes of the request's body.
 */
export class CountingUpstream {
  readonly port: number;
  /** Requests whose head has come. */
  requests = 0;
  /** Of them not yet answered, nor given up. */
  open = 0;
  mostOpen = 0;
  /** Bytes of bodies that have come. */
  bodyBytes = 0;
  /** Bytes given to the readers of `/forever`. */
  written = 0;

  private constructor(port: number) {
    this.port = port;
  }

  static async listen(owner: Owner): Promise<CountingUpstream> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const upstream = new CountingUpstream((server.address() as AddressInfo).port);
    server.on("request", (req, res) => upstream.#serve(req, res));
    owner.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return upstream;
  }

  /** Begins to count again. */
  wipe(): void {
    this.requests = this.mostOpen = this.bodyBytes = 0;
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    this.requests++;
    this.mostOpen = Math.max(this.mostOpen, ++this.open);
    res.once("close", () => this.open--);
    res.on("error", () => undefined);
    let received = 0;
    req.on("data", (chunk: Buffer) => {
      received += chunk.length;
      this.bodyBytes += chunk.length;
    });
    req.on("error", () => undefined);
    const url = req.url ?? "";
    if (url.startsWith("/hold")) return;
    if (url.startsWith("/forever")) {
      this.#forever(res);
      return;
    }
    const bytes = /^\/bytes\/(\d+)$/.exec(url)?.[1];
    req.on("end", () => res.end(bytes === undefined ? String(received) : Buffer.alloc(Number(bytes), "b")));
  }

  /** Resolves when nobody reads any more of what is written for ever, though those who should do other things. */
  async stuffed(doAnother: () => Promise<unknown>): Promise<void> {
    await untilStill(() => this.written, doAnother);
  }

  #forever(res: ServerResponse): void {
    const go = (): void => {
      do this.written += PIECE.length;
      while (!res.destroyed && res.write(PIECE));
    };
    res.on("drain", go);
    go();
  }
}

const PIECE = Buffer.alloc(64 * 1024, "f");

export interface UnderAttack {
  readonly sidecar: SidecarProcess;
  readonly upstream: CountingUpstream;
  readonly port: number;
  /** A client whose bodies are counted and not kept. It is gone with the test. */
  attacker(owner: Owner, options?: H2PeerOptions): Promise<H2Peer>;
  /** An ordinary request on a connection of its own is answered. */
  checkHealth(): Promise<void>;
  /** CPU seconds of the sidecar so far. */
  cpu(): number;
}

/** A sidecar that serves HTTP/2 in front of a counting upstream. `http` are more fields of the connection manager. */
export async function startUnderAttack(
  owner: Owner,
  http: Json = {},
  options: SidecarOptions & { readonly listenerFields?: Json } = {},
): Promise<UnderAttack> {
  const ends = lastFirst(owner);
  const upstream = await CountingUpstream.listen(ends);
  const bootstrap = staticBootstrap(
    [
      {
        ...listener({
          name: "in",
          routes: inlineRoutes([virtualHost("*", "up", { timeout: "0s" })]),
          http: { codec_type: "HTTP2", ...http },
        }),
        ...options.listenerFields,
      },
    ],
    [cluster("up", [upstream.port], { connect_timeout: "20s" })],
  );
  const sidecar = await startSidecar(bootstrap, ends, options);
  const port = await sidecar.port("in");
  return {
    sidecar,
    upstream,
    port,
    attacker: (test, wish = {}) => H2Peer.connect(port, test, { countBodies: true, ...wish }),
    async checkHealth() {
      const closing: (() => unknown)[] = [];
      const peer = await H2Peer.connect(port, { after: (end) => void closing.push(end) });
      await peer.send(headers(1, request("/bytes/7")));
      const { status, body } = await peer.response(1);
      for (const end of closing) end();
      assert.deepEqual([status, body], [200, "bbbbbbb"]);
    },
    cpu: () => cpuSeconds(sidecar.pid),
  };
}

/** Of user and system, as the kernel counts them for a process: in hundredths of a second. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100; // utime and stime (proc(5))
}

/** The counter has grown beyond what it was. */
export async function untilCounted(sidecar: SidecarProcess, name: string, before: number): Promise<void> {
  await eventually(`${name} is above ${before}`, async () => (await sidecar.stat(name)) > before);
}
