import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startHaproxyWith } from "./haproxy.ts";
import type { MeshIdentity } from "./mesh-identity.ts";
import { freePort, type Peer, start } from "./peer.ts";
import { cluster, endpoints, listener, NODE_ID, ROUTES, sidecarCommand, TYPES } from "./sidecar-config.ts";

/** The upstream: nginx with one worker. `/small` answers 170 bytes in all, `/large` 64 KiB of body. */
export async function startUpstream(folder: string): Promise<Peer> {
  const port = await freePort();
  chmodSync(folder, 0o755); // a worker that nginx runs as nobody has to read the files
  mkdirSync(join(folder, "html"), { recursive: true });
  writeFileSync(join(folder, "html/large"), Buffer.alloc(64 * 1024, "x"));
  const body = "x".repeat(23);
  const config = join(folder, "upstream.conf");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/upstream.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; default_type text/plain; server_tokens off; sendfile on; tcp_nopush off;
  client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
  server {
    listen 127.0.0.1:${port} backlog=1024; root ${folder}/html;
    location = /small { return 200 "${body}"; }
    location = /count { stub_status; }
  }
}`,
  );
  return start("upstream", port, ["nginx", "-c", config, "-p", folder, "-e", "stderr"]);
}

export async function startNginx(folder: string, upstream: number): Promise<Peer> {
  const port = await freePort();
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000;
  client_body_temp_path ${folder}/f; proxy_temp_path ${folder}/g; fastcgi_temp_path ${folder}/h; uwsgi_temp_path ${folder}/i; scgi_temp_path ${folder}/j;
  upstream up { server 127.0.0.1:${upstream}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr; }
  }
}`,
  );
  return start("nginx", port, ["nginx", "-c", config, "-p", folder, "-e", "stderr"]);
}

export function startHaproxy(folder: string, upstream: number): Promise<Peer> {
  return startHaproxyWith(folder, upstream, {
    options: ["option http-keep-alive", "option forwardfor", "http-reuse always"],
  });
}

/** Our control plane, from source, with the static bootstrap's resources as four of their own: what ADS streams. */
export async function startControlPlane(
  folder: string,
  sidecarPort: number,
  upstream: number,
  identity?: MeshIdentity,
): Promise<Peer> {
  const ads = { resource_api_version: "V3", ads: {} };
  const front = listener(sidecarPort, { rds: { route_config_name: ROUTES.name, config_source: ads } }) as {
    readonly filter_chains: readonly object[];
  };
  const chain = { ...front.filter_chains[0], ...identity?.inbound };
  const resources = [
    { "@type": `${TYPES}.listener.v3.Listener`, ...front, filter_chains: [chain] },
    { "@type": `${TYPES}.route.v3.RouteConfiguration`, ...ROUTES },
    {
      "@type": `${TYPES}.cluster.v3.Cluster`,
      ...cluster(),
      ...identity?.outbound,
      type: "EDS",
      eds_cluster_config: { eds_config: ads },
    },
    { "@type": `${TYPES}.endpoint.v3.ClusterLoadAssignment`, ...endpoints(upstream) },
  ];
  const config = join(folder, identity === undefined ? "mesh" : "mesh-with-identity");
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, "mesh.json"), JSON.stringify({ resources }, null, 2));
  const [port, admin] = [await freePort(), await freePort()];
  const entry = fileURLToPath(import.meta.resolve("@heddle/control-plane/main"));
  const addresses = ["--xds-address", `127.0.0.1:${port}`, "--admin-address", `127.0.0.1:${admin}`];
  const command = [
    process.execPath,
    ...process.execArgv,
    entry,
    "--config",
    config,
    "--log-level",
    "error",
    ...addresses,
  ];
  if (identity === undefined) return start("control plane", port, command);
  const tls = await freePort();
  const store = ["--store", join(folder, "store")];
  const address = ["--xds-tls-address", `127.0.0.1:${tls}`];
  const controlPlane = await start("control plane", tls, [...command, ...store, ...address, ...identity.flags]);
  const bundle = await fetch(`http://127.0.0.1:${admin}/ca/bundle`, { headers: { connection: "close" } });
  identity.trust(await bundle.text());
  return controlPlane;
}

/** The built sidecar, one traffic worker, everything by delta ADS; `port` is where the control plane tells it to listen. */
export async function startAdsSidecar(
  controlPlane: Peer,
  port: number,
  entry: string,
  identity?: MeshIdentity,
): Promise<Peer> {
  const flags = ["--control-plane", `127.0.0.1:${controlPlane.port}`, "--node-id", NODE_ID];
  const command = [...sidecarCommand(entry), ...flags, "--admin-address", `127.0.0.1:${await freePort()}`];
  return start("heddle", port, [...command, ...(identity?.nextSidecarFlags() ?? [])]);
}
