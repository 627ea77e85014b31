import { mkdirSync, writeFileSync } from "node:fs";
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { startHaproxyWith } from "./haproxy.ts";
import { freePort, type Peer, start } from "./peer.ts";
import type { Legs } from "./sidecar-config.ts";

/** Bytes of `/huge` and of what is uploaded. */
export const HUGE_BYTES = 1024 ** 3;

/** gRPC messages in each answer of `startMessageServer`. */
export const MESSAGES_A_CALL = 100;

/** Streams of one connection that an upstream takes: more than any load has, so that no proxy needs a second one for that. */
const UPSTREAM_STREAMS = 1000;

/** Files that the upstream serves, and that `h2load` sends. */
export interface H2Files {
  readonly root: string;
  /** One gRPC message with a body of 23 bytes. */
  readonly message: string;
  readonly huge: string;
}

export async function makeH2Files(folder: string): Promise<H2Files> {
  const root = join(folder, "h2");
  mkdirSync(join(root, "bench.Echo"), { recursive: true });
  const text = "x".repeat(23);
  writeFileSync(join(root, "small"), text);
  const message = join(root, "bench.Echo/Unary.grpc");
  writeFileSync(message, Buffer.concat([Buffer.from([0, 0, 0, 0, text.length]), Buffer.from(text)]));
  const huge = join(root, "huge");
  writeFileSync(huge, "");
  await truncate(huge, HUGE_BYTES); // takes no room on the disk
  return { root, message, huge };
}

/** nghttpd with one worker and windows that hold nobody up. With `trailer` every answer is a gRPC one. */
export async function startNghttpd(
  folder: string,
  { root }: H2Files,
  { tls }: Legs,
  trailer?: "grpc-status",
): Promise<Peer> {
  const port = await freePort();
  const types = join(folder, "mime.types");
  writeFileSync(types, "application/grpc grpc\n");
  const limits = ["-m", String(UPSTREAM_STREAMS), "-w", "20", "-W", "24"];
  const manner = trailer === undefined ? [] : [`--trailer=${trailer}: 0`, "--mime-types-file", types];
  const transport = tls === undefined ? ["--no-tls", String(port)] : [String(port), tls.key, tls.certificate];
  return start("upstream", port, ["nghttpd", "-a", "127.0.0.1", "-d", root, ...limits, ...manner, ...transport]);
}

/** Answers each call with `MESSAGES_A_CALL` messages of 1 KiB. */
export async function startMessageServer(): Promise<Peer> {
  const port = await freePort();
  return start("messages", port, [...nodeScript("message-server.ts"), String(port), String(MESSAGES_A_CALL)]);
}

export async function startNodeHttp2Proxy(upstream: number): Promise<Peer> {
  const port = await freePort();
  return start("node:http2", port, [...nodeScript("node-http2-proxy.ts"), String(port), String(upstream)]);
}

function nodeScript(file: string): string[] {
  return [process.execPath, "--disable-warning=ExperimentalWarning", join(import.meta.dirname, file)];
}

export function startH2Haproxy(folder: string, upstream: number, { tls }: Legs): Promise<Peer> {
  if (tls === undefined) return startHaproxyWith(folder, upstream, { bind: "proto h2", server: "proto h2" });
  return startHaproxyWith(folder, upstream, {
    bind: `ssl crt ${tls.both} alpn h2`,
    server: `ssl ca-file ${tls.certificate} verify required sni str(${tls.host}) verifyhost ${tls.host} alpn h2`,
  });
}

/** In place of nginx, which does not speak HTTP/2 to an upstream. */
export async function startNghttpx(folder: string, upstream: number, { tls }: Legs): Promise<Peer> {
  const port = await freePort();
  const config = join(folder, "nghttpx.conf"); // else it reads the system's
  writeFileSync(config, "");
  const quiet = ["--log-level=ERROR", "--errorlog-file=/dev/null", "--accesslog-file=/dev/null", `--conf=${config}`];
  const manner = ["--workers=1", "--single-process", "--add-x-forwarded-for", ...quiet];
  const front = `--frontend=127.0.0.1,${port}${tls === undefined ? ";no-tls" : ""}`;
  const back = `--backend=127.0.0.1,${upstream};;proto=h2${tls === undefined ? "" : `;tls;sni=${tls.host}`}`;
  const files = tls === undefined ? [] : [`--cacert=${tls.certificate}`, tls.key, tls.certificate];
  return start("nghttpx", port, ["nghttpx", front, back, ...manner, ...files]);
}
