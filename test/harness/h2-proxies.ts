import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../bench/path/peer.ts";
import type { Owner } from "./owner.ts";
import { serve } from "./serve.ts";
import { scratchFolder } from "./sidecar.ts";

/*
 * Proxies of others that speak HTTP/2 without TLS on both sides as far as they can. Each listens on a free port, and passes
 * everything on to one port; all take HTTP/2 by prior knowledge.
 */

export const HAPROXY = "/usr/sbin/haproxy";
export const NGINX = "/usr/sbin/nginx";
export const NGHTTPX = "/usr/sbin/nghttpx";

/** HTTP/2 on both sides. */
export async function haproxyH2(to: number, owner: Owner): Promise<number> {
  const port = await freePort();
  const file = join(scratchFolder(owner), "haproxy.cfg");
  writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:${port} proto h2
  default_backend back
backend back
  server one 127.0.0.1:${to} proto h2
`,
  );
  await serve(owner, [port], HAPROXY, "-db", "-f", file);
  return port;
}

/** HTTP/2 on both sides; it takes HTTP/1 as well. */
export async function nghttpxH2(to: number, owner: Owner): Promise<number> {
  const port = await freePort();
  const [front, back] = [`--frontend=127.0.0.1,${port};no-tls`, `--backend=127.0.0.1,${to};;proto=h2`];
  const quiet = ["--log-level=ERROR", "--accesslog-file=/dev/null", "--workers=1", "--no-ocsp"];
  await serve(owner, [port], NGHTTPX, "--conf=/dev/null", front, back, ...quiet);
  return port;
}

/** HTTP/2 from its clients; HTTP/1 to what is behind, or with `grpc` HTTP/2, for which gRPC is what it knows. */
export async function nginxH2(to: number, owner: Owner, { grpc }: { grpc: boolean }): Promise<number> {
  const port = await freePort();
  const folder = scratchFolder(owner);
  chmodSync(folder, 0o755); // its worker runs as nobody
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  const pass = grpc
    ? `grpc_pass grpc://127.0.0.1:${to}; grpc_read_timeout 60s; grpc_set_header Host $host;`
    : `proxy_pass http://127.0.0.1:${to}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;`;
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  ${paths.join(" ")}
  access_log off; client_max_body_size 0; keepalive_requests 100000; http2_max_concurrent_streams 200;
  server { listen 127.0.0.1:${port} http2; location / { ${pass} } }
}`,
  );
  await serve(owner, [port], NGINX, "-c", file, "-e", "stderr");
  return port;
}
