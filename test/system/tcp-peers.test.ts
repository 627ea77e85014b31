import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../../bench/path/peer.ts";
import {
  cluster,
  inlineRoutes,
  type Json,
  listener,
  proxyProtocol,
  staticBootstrap,
  tcpListener,
  tcpProxy,
  udpListener,
  upstreamProxyProtocol,
  virtualHost,
} from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { serve } from "../harness/serve.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";
const needed = ["/usr/sbin/haproxy", "/usr/sbin/nginx", "/usr/bin/curl", "/usr/bin/socat", STREAM_MODULE];
const missing = needed.filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const run = promisify(execFile);

describe("a sidecar between HAProxy, nginx and socat, by PROXY protocol, TCP, UDP and Unix sockets", { skip }, () => {
  const suite = lastFirst({ after });
  /** Servers of others that tell whom PROXY protocol has named, by name. */
  const tellers = new Map<string, number>();
  /** Proxies of others that send PROXY protocol to the sidecar, by name. */
  const senders = new Map<string, number>();
  let sidecar: SidecarProcess;
  let folder: string;

  before(async () => {
    folder = scratchFolder(suite);
    chmodSync(folder, 0o755);
    const port = async (map: Map<string, number>, name: string): Promise<number> => {
      const free = await freePort();
      map.set(name, free);
      return free;
    };
    const echo = await freePort();
    const datagrams = await freePort();
    await serve(suite, [echo], "socat", "-t", "10", `TCP-LISTEN:${echo},bind=127.0.0.1,fork,reuseaddr`, "PIPE");
    await serve(suite, [], "socat", `UDP-LISTEN:${datagrams},bind=127.0.0.1,fork`, "PIPE");
    await serve(suite, [], "socat", "-t", "10", `UNIX-LISTEN:${folder}/server.sock,fork`, "PIPE");

    // Who is told: HAProxy and nginx answer with the address and port that PROXY protocol gave them.
    const haproxyTells = await port(tellers, "haproxy");
    const nginxTells = await port(tellers, "nginx");
    const plain = await freePort();
    writeFileSync(
      join(folder, "tell.cfg"),
      `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend tell
  bind 127.0.0.1:${haproxyTells} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]"
`,
    );
    await serve(suite, [haproxyTells], "/usr/sbin/haproxy", "-db", "-f", join(folder, "tell.cfg"));
    writeFileSync(
      join(folder, "tell.conf"),
      `${nginxHead("tell")}
http {
  ${temporaryPaths()}
  access_log off;
  server { listen 127.0.0.1:${nginxTells} proxy_protocol; location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port"; } }
  server { listen 127.0.0.1:${plain}; location / { return 200 "$http_x_forwarded_for"; } }
}`,
    );
    await serve(suite, [nginxTells, plain], "/usr/sbin/nginx", "-c", join(folder, "tell.conf"), "-e", "stderr");

    const proxied = (name: string, to = name, fields: Json = {}): Json =>
      tcpListener(name, tcpProxy({ stat_prefix: name, cluster: to }), fields);
    sidecar = await startSidecar(
      staticBootstrap(
        [
          ...["haproxy-v1", "haproxy-v2", "nginx-v1", "nginx-v2"].map((name) => proxied(name)),
          {
            ...listener({
              name: "in",
              routes: inlineRoutes([virtualHost("*", "plain")]),
              http: { use_remote_address: true },
            }),
            ...proxyProtocol(),
          },
          proxied("echo"),
          proxied("to-path"),
          proxied("from-path", "echo", { address: { pipe: { path: `${folder}/client.sock` } } }),
          proxied("from-abstract", "echo", { address: { pipe: { path: `@heddle-${process.pid}` } } }),
          udpListener("datagrams", { cluster: "datagrams" }),
        ],
        [
          cluster("haproxy-v1", [haproxyTells], upstreamProxyProtocol()),
          cluster("haproxy-v2", [haproxyTells], upstreamProxyProtocol({ version: "V2" })),
          cluster("nginx-v1", [nginxTells], upstreamProxyProtocol()),
          cluster("nginx-v2", [nginxTells], upstreamProxyProtocol({ version: "V2" })),
          cluster("plain", [plain]),
          cluster("echo", [echo]),
          cluster("datagrams", [datagrams]),
          cluster("to-path", [], {
            load_assignment: {
              cluster_name: "to-path",
              endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: `${folder}/server.sock` } } } }] }],
            },
          }),
        ],
      ),
      suite,
      { concurrency: 2, folder },
    );

    // Who tells: the sidecar has to understand what HAProxy and nginx say.
    const into = await sidecar.port("in");
    const [v1, v2, checked, stream] = [
      await port(senders, "HAProxy with version 1"),
      await port(senders, "HAProxy with version 2"),
      await port(senders, "HAProxy with version 2, checksum and unique id"),
      await port(senders, "nginx"),
    ];
    writeFileSync(
      join(folder, "send.cfg"),
      `defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen v1
  bind 127.0.0.1:${v1}
  server one 127.0.0.1:${into} send-proxy
listen v2
  bind 127.0.0.1:${v2}
  server one 127.0.0.1:${into} send-proxy-v2
listen checked
  bind 127.0.0.1:${checked}
  unique-id-format %{+X}o%ci:%cp
  server one 127.0.0.1:${into} send-proxy-v2 proxy-v2-options crc32c,unique-id
`,
    );
    await serve(suite, [v1, v2, checked], "/usr/sbin/haproxy", "-db", "-f", join(folder, "send.cfg"));
    writeFileSync(
      join(folder, "send.conf"),
      `load_module ${STREAM_MODULE};
${nginxHead("send")}
stream {
  server { listen 127.0.0.1:${stream}; proxy_pass 127.0.0.1:${into}; proxy_protocol on; }
}`,
    );
    await serve(suite, [stream], "/usr/sbin/nginx", "-c", join(folder, "send.conf"), "-e", "stderr");
  });

  function temporaryPaths(): string {
    const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    return kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  }

  function nginxHead(name: string): string {
    return `daemon off; worker_processes 1; pid ${folder}/${name}.pid; error_log stderr crit;
events { worker_connections 256; }`;
  }

  /** What curl gets, and the port from which it has asked. */
  async function curl(port: number): Promise<{ readonly body: string; readonly from: string }> {
    const words = ["-sS", "--max-time", "10", "-w", " %{local_ip}:%{local_port}", `http://127.0.0.1:${port}/`];
    const [body = "", from = ""] = (await run("curl", words)).stdout.split(" ");
    return { body, from };
  }

  for (const name of ["haproxy-v1", "haproxy-v2", "nginx-v1", "nginx-v2"]) {
    test(`${name.replace("-", " understands PROXY protocol ")} as the sidecar sends it`, async () => {
      const port = await sidecar.port(name);
      for (let i = 0; i < 3; i++) {
        const { body, from } = await curl(port);
        assert.equal(body, from);
      }
    });
  }

  for (const name of [
    "HAProxy with version 1",
    "HAProxy with version 2",
    "HAProxy with version 2, checksum and unique id",
    "nginx",
  ]) {
    test(`the sidecar understands PROXY protocol of ${name}`, async () => {
      const { body } = await curl(senders.get(name) ?? 0);
      assert.equal(body, "127.0.0.1");
      const version = name.includes("2") ? "v2" : "v1";
      assert.ok((await sidecar.stat(`proxy_proto.versions.${version}.found`)) > 0);
      assert.equal(await sidecar.stat(`proxy_proto.versions.${version}.error`), 0);
    });
  }

  test("socat's half-closed connections get all of the answer, over TCP and Unix sockets", async () => {
    const port = await sidecar.port("echo");
    const toPath = await sidecar.port("to-path");
    for (const address of [
      `TCP:127.0.0.1:${port}`,
      `TCP:127.0.0.1:${toPath}`,
      `UNIX-CONNECT:${folder}/client.sock`,
      `ABSTRACT-CONNECT:heddle-${process.pid}`,
    ]) {
      const child = spawn("socat", ["-t", "10", "-", address], { stdio: ["pipe", "pipe", "inherit"] });
      const sent = Buffer.alloc(40_000, "0123456789"); // a socat that talks to itself stands still when its pipe is full
      child.stdin.end(sent);
      const received: Buffer[] = [];
      for await (const chunk of child.stdout) received.push(chunk as Buffer);
      const answer = Buffer.concat(received);
      assert.ok(answer.equals(sent), `${address}: ${answer.length} bytes came back of ${sent.length}`);
    }
  });

  test("socat's datagrams find their way and back", async () => {
    const port = await sidecar.port("datagrams");
    const child = spawn("socat", ["-t", "10", "-", `UDP:127.0.0.1:${port}`], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.write("one datagram");
    const [answer] = await once(child.stdout, "data");
    assert.equal(String(answer), "one datagram");
    child.kill();
    await once(child, "exit");
  });
});
