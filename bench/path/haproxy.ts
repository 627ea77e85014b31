import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Peer, start } from "./peer.ts";

export interface HaproxyLegs {
  /** Behind the address that it listens on: TLS, protocols. */
  readonly bind?: string;
  /** The same behind the address of the upstream. */
  readonly server?: string;
  /** Lines of `defaults`. */
  readonly options?: readonly string[];
}

/** One thread of HAProxy before one upstream, on a port of its own. */
export async function startHaproxyWith(folder: string, upstream: number, legs: HaproxyLegs): Promise<Peer> {
  const { bind = "", server = "", options = ["option forwardfor", "http-reuse always"] } = legs;
  const port = await freePort();
  const config = join(folder, `haproxy-${port}.cfg`);
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${options.map((line) => `  ${line}\n`).join("")}frontend front
  bind 127.0.0.1:${port} ${bind}
  default_backend back
backend back
  server one 127.0.0.1:${upstream} ${server}
`,
  );
  return start("haproxy", port, ["haproxy", "-db", "-f", config]);
}
