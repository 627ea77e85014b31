import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Peer, stop } from "../../bench/path/peer.ts";
import { startHaproxy, startNginx, startUpstream } from "../../bench/path/peers.ts";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

const missing = ["/usr/sbin/haproxy", "/usr/sbin/nginx", "/usr/bin/curl"].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const run = promisify(execFile);

const SERVE_TUNNEL = {
  name: "tunnel",
  typed_config: { "@type": "type.googleapis.com/heddle.filters.http.v1.ServeTunnel" },
};

/** Where each chain begins, by what stands in it; all end at the same nginx. */
const CHAINS = [
  "the sidecar",
  "nginx, then the sidecar",
  "HAProxy, then the sidecar",
  "the sidecar, then nginx",
  "the sidecar, then HAProxy",
] as const;
type Chain = (typeof CHAINS)[number];

describe("a sidecar between curl, nginx and HAProxy", { skip }, () => {
  const suite = lastFirst({ after });
  const ports = new Map<Chain, number>();
  let folder: string;

  before(async () => {
    process.env["PATH"] = `${process.env["PATH"]}:/usr/sbin`; // where Debian has servers, also for those who are not root
    folder = scratchFolder(suite);
    const started = (peer: Peer): number => {
      suite.after(() => stop(peer));
      return peer.port;
    };
    /** A worker that nginx runs as nobody keeps large bodies there. */
    const nginxFolder = (): string => {
      const made = scratchFolder(suite);
      chmodSync(made, 0o755);
      return made;
    };
    const upstream = started(await startUpstream(folder));
    const behind = {
      direct: upstream,
      nginx: started(await startNginx(nginxFolder(), upstream)),
      haproxy: started(await startHaproxy(nginxFolder(), upstream)),
    };
    const names = Object.keys(behind) as (keyof typeof behind)[];
    const sidecar = await startSidecar(
      staticBootstrap(
        names.map((name) =>
          listener({
            name,
            routes: inlineRoutes([virtualHost("*", name)]),
            http: {
              http_protocol_options: { accept_http_10: true, default_host_for_http_10: "old" },
              upgrade_configs: [{ upgrade_type: "CONNECT", filters: [SERVE_TUNNEL] }],
            },
          }),
        ),
        names.map((name) => cluster(name, [behind[name]])),
      ),
      suite,
      { concurrency: 2 },
    );
    const direct = await sidecar.port("direct");
    ports.set("the sidecar", direct);
    ports.set("nginx, then the sidecar", started(await startNginx(nginxFolder(), direct)));
    ports.set("HAProxy, then the sidecar", started(await startHaproxy(nginxFolder(), direct)));
    ports.set("the sidecar, then nginx", await sidecar.port("nginx"));
    ports.set("the sidecar, then HAProxy", await sidecar.port("haproxy"));
  });

  /** What curl prints: "<status> <version> <bytes of body>". */
  async function curl(chain: Chain, path: string, ...options: string[]): Promise<string> {
    const url = `http://127.0.0.1:${ports.get(chain)}${path}`;
    const format = "%{http_code} %{http_version} %{size_download}";
    const words = ["-sS", "--max-time", "60", "-o", "/dev/null", "-w", format, ...options, url];
    return (await run("curl", words)).stdout;
  }

  for (const chain of CHAINS) {
    test(`through ${chain}: small and large answers, HEAD, and what is not there`, async () => {
      assert.equal(await curl(chain, "/small"), "200 1.1 23");
      assert.equal(await curl(chain, "/large"), "200 1.1 65536");
      assert.equal(await curl(chain, "/large", "--head"), "200 1.1 0");
      assert.match(await curl(chain, "/nothing"), /^404 1\.1 /);
      assert.equal(await curl(chain, "/large", "-H", "If-None-Match: *"), "304 1.1 0");
      assert.equal(await curl(chain, "/large", "-H", "Range: bytes=0-99"), "206 1.1 100");
    });

    test(`through ${chain}: bodies with length, in chunks, and behind 100 (Continue)`, async () => {
      const file = join(folder, "body");
      writeFileSync(file, Buffer.alloc(500_000, "b"));
      assert.equal(await curl(chain, "/small", "--data-binary", `@${file}`), "200 1.1 23");
      assert.equal(
        await curl(chain, "/small", "--data-binary", `@${file}`, "-H", "Transfer-Encoding: chunked"),
        "200 1.1 23",
      );
      assert.equal(
        await curl(chain, "/small", "--data-binary", `@${file}`, "-H", "Expect: 100-continue"),
        "200 1.1 23",
      );
    });

    test(`through ${chain}: a client of HTTP/1.0`, async () => {
      assert.match(await curl(chain, "/large", "--http1.0"), /^200 1\.[01] 65536$/);
    });

    test(`through ${chain}: keep-alive under load, and no request fails`, async (t) => {
      const load = startLoad(`http://127.0.0.1:${ports.get(chain)}/small`, 8, t);
      await eventually("a thousand requests have been answered", () => load.count >= 1000);
      assert.deepEqual([...(await load.stop()).failures], []);
    });
  }

  test("as a forward proxy: curl sends the target in absolute form", async () => {
    const proxy = `http://127.0.0.1:${ports.get("the sidecar")}`;
    const words = ["-sS", "--max-time", "60", "-x", proxy, "http://shop.example/small"];
    assert.equal((await run("curl", words)).stdout, "x".repeat(23));
  });

  test("as a proxy that ends tunnels: curl sends CONNECT, and its requests in the tunnel", async () => {
    const proxy = `http://127.0.0.1:${ports.get("the sidecar")}`;
    const urls = ["http://shop.example/small", "http://shop.example/small"];
    const words = ["-sS", "--max-time", "60", "--proxytunnel", "-x", proxy, ...urls];
    assert.equal((await run("curl", words)).stdout, "x".repeat(46));
  });
});
