import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../../bench/path/peer.ts";
import { EchoServer, sha256 } from "../harness/echo-server.ts";
import { HAPROXY, haproxyH2, NGHTTPX, NGINX, nghttpxH2, nginxH2 } from "../harness/h2-proxies.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { serve } from "../harness/serve.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";
import { tlsChain } from "../harness/tls-chain.ts";

const needed = [HAPROXY, NGINX, NGHTTPX, "/usr/bin/curl", "/usr/bin/nghttp", "/usr/bin/h2load"];
const missing = needed.filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const run = promisify(execFile);

interface Chain {
  /** What stands between the client and Node's server. */
  readonly name: string;
  /**
   * HAProxy 2.6 takes a padded body that has a length for one that is too long, and no head above 16 KiB. With many uploads
   * at once whose answers wait for a window it stands still, alone as well (`h2load -m40 -w16 -W16 -d`).
   */
  readonly haproxy?: boolean;
  /** This nginx passes on no trailers. */
  readonly noTrailers?: boolean;
}

const CHAINS: readonly Chain[] = [
  { name: "a sidecar" },
  { name: "two sidecars" },
  { name: "a sidecar before a server of HTTP/1" },
  { name: "HAProxy, then a sidecar", haproxy: true },
  { name: "nghttpx, then a sidecar" },
  { name: "a sidecar, then HAProxy", haproxy: true },
  { name: "a sidecar, then nghttpx" },
  { name: "a sidecar, then nginx", noTrailers: true },
];

describe("sidecars between HTTP/2's tools and proxies", { skip }, () => {
  const suite = lastFirst({ after });
  const ports = new Map<string, number>();
  let folder: string;
  let chain: SidecarChain;

  before(async () => {
    folder = scratchFolder(suite);
    const h2 = await EchoServer.listen("h2", suite);
    const h1 = await EchoServer.listen("h1", suite);
    chain = await startChain(
      suite,
      {
        h2: { port: h2.port, speaks: "h2" },
        h1: { port: h1.port, speaks: "h1" },
        haproxy: { port: await haproxyH2(h2.port, suite), speaks: "h2" },
        nghttpx: { port: await nghttpxH2(h2.port, suite), speaks: "h2" },
        nginx: { port: await nginxH2(h1.port, suite, { grpc: false }), speaks: "h2" },
        nghttpd: { port: await nghttpd(folder, suite), speaks: "h2" },
      },
      { concurrency: 2 },
    );
    ports.set("a sidecar", chain.backPort("h2"));
    ports.set("two sidecars", chain.frontPort("h2"));
    ports.set("a sidecar before a server of HTTP/1", chain.backPort("h1"));
    ports.set("HAProxy, then a sidecar", await haproxyH2(chain.backPort("h2"), suite));
    ports.set("nghttpx, then a sidecar", await nghttpxH2(chain.backPort("h2"), suite));
    for (const [name, lane] of [
      ["HAProxy", "haproxy"],
      ["nghttpx", "nghttpx"],
      ["nginx", "nginx"],
      ["nghttpd", "nghttpd"],
    ] as const)
      ports.set(`a sidecar, then ${name}`, chain.backPort(lane));
  });

  const url = (way: string, path: string): string => `http://127.0.0.1:${ports.get(way)}${path}`;

  /** What curl prints: "<status> <version> <bytes of body>". */
  async function curl(way: string, path: string, ...options: string[]): Promise<string> {
    const format = "%{http_code} %{http_version} %{size_download}";
    const words = ["-sS", "--max-time", "20", "-o", "/dev/null", "-w", format, ...options, url(way, path)];
    return (await run("curl", words)).stdout;
  }

  /** What nghttp tells of all frames. */
  async function nghttp(...words: string[]): Promise<string> {
    return (await run("nghttp", ["--verbose", "--timeout=20", ...words], { maxBuffer: 64 << 20 })).stdout;
  }

  for (const { name: way, haproxy = false, noTrailers = false } of CHAINS) {
    test(`curl through ${way}: answers, bodies and what is not there, over HTTP/2 from the first byte`, async () => {
      const file = join(folder, "body");
      writeFileSync(file, Buffer.alloc(500_000, "b"));
      const h2 = "--http2-prior-knowledge";
      assert.equal(await curl(way, "/length/23", h2), "200 2 23");
      assert.equal(await curl(way, "/length/1000000", h2), "200 2 1000000");
      assert.equal(await curl(way, "/length/70000", h2, "--head"), "200 2 0");
      assert.equal(await curl(way, "/status/204", h2), "204 2 0");
      assert.equal(await curl(way, "/status/304", h2), "304 2 0");
      assert.equal(await curl(way, "/nothing", h2), "404 2 0");
      assert.equal(await curl(way, "/echo/length", h2, "--data-binary", `@${file}`), "200 2 500000");
      assert.equal(await curl(way, "/echo/chunks", h2, "-T", file), "200 2 500000");
    });

    test(`nghttp through ${way}: many streams, an upload, padding, a head in many frames`, async () => {
      const file = join(folder, "upload");
      writeFileSync(file, Buffer.alloc(200_000, "u"));
      const many = await nghttp("--multiply=60", "--null-out", url(way, "/length/5000"));
      assert.equal(count(many, /:status: 200/g), 60);
      assert.equal(count(many, /RST_STREAM/g), 0);
      const padding = haproxy ? [] : ["--padding=200"];
      for (const options of [[], padding, ["--no-content-length"], ["--expect-continue"]]) {
        const frames = await nghttp(...options, `--data=${file}`, "--null-out", url(way, "/echo/length"));
        assert.match(frames, /:status: 200/, `${options.join(" ")}\n${frames}`);
        assert.ok(frames.includes(`x-request-digest: ${sha256(Buffer.alloc(200_000, "u"))}`), options.join(" "));
      }
      if (!haproxy)
        assert.match(await nghttp("--continuation", "--null-out", url(way, "/length/3")), /:status: (200|431)/);
      // Tables of no size at all, and of more than is allowed.
      for (const size of ["0", "4096", "1000000"]) {
        const table = [`--header-table-size=${size}`, `--encoder-header-table-size=${size}`];
        assert.equal(count(await nghttp(...table, "--multiply=20", url(way, "/length/3")), /:status: 200/g), 20);
      }
    });

    if (!noTrailers) {
      test(`nghttp through ${way}: trailers in both directions`, async () => {
        const file = join(folder, "trailed");
        writeFileSync(file, "body");
        // Not with a length: HTTP/1 has no trailers then.
        const words = ["--no-content-length", "-H", "te: trailers", "--trailer", "x-sum: from the client"];
        const frames = await nghttp(...words, `--data=${file}`, url(way, "/trailers"));
        assert.match(frames, /^from the client/m);
        assert.match(frames, /x-sum: from the server/);
      });
    }

    test(`h2load through ${way}: nothing fails`, async () => {
      for (const options of [
        ["-c8", "-m10", "-n2000"],
        ["-c1", "-m100", "-n2000"],
        ["-c4", "-m10", "-n1000", "-w10", "-W10"], // windows of 1 KiB
      ]) {
        assert.deepEqual(await h2load(...options, url(way, "/length/3000")), good(Number(options[2]!.slice(2))));
      }
      const file = join(folder, "post");
      writeFileSync(file, Buffer.alloc(50_000, "p"));
      assert.deepEqual(
        await h2load("-c4", haproxy ? "-m1" : "-m10", "-n400", "-d", file, url(way, "/echo/length")),
        good(400),
      );
    });
  }

  test("nghttpd as a server: files, heads, what is not there, load", async () => {
    const way = "a sidecar, then nghttpd";
    for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
      const spoken = version === "--http1.1" ? "1.1" : "2";
      assert.equal(await curl(way, "/small", version), `200 ${spoken} 23`);
      assert.equal(await curl(way, "/large", version), `200 ${spoken} 1000000`);
      assert.equal(await curl(way, "/large", version, "--head"), `200 ${spoken} 0`);
      assert.match(await curl(way, "/nothing", version), /^404 /);
    }
    assert.deepEqual(await h2load("-c8", "-m10", "-n2000", url(way, "/small")), good(2000));
    assert.deepEqual(await h2load("-c2", "-m20", "-n100", url(way, "/large")), good(100));
    assert.deepEqual(await h2load("--h1", "-c8", "-n2000", url(way, "/small")), good(2000));
  });

  test("HTTP/1.1 on the same port: curl and h2load, and the upgrade to HTTP/2 is not taken (RFC 9113 section 3.1)", async () => {
    for (const way of ["a sidecar", "two sidecars"]) {
      assert.equal(await curl(way, "/length/70000", "--http1.1"), "200 1.1 70000");
      assert.equal(await curl(way, "/length/70000", "--http2"), "200 1.1 70000");
      assert.deepEqual(await h2load("--h1", "-c8", "-n2000", url(way, "/length/100")), good(2000));
    }
  });
});

describe("two sidecars with TLS before each, met by HTTP/2's tools", { skip }, () => {
  const suite = lastFirst({ after });
  const { hop, authority } = tlsChain();
  let trusted: string;
  let url: (path: string) => string;

  before(async () => {
    trusted = join(scratchFolder(suite), "authority.pem");
    writeFileSync(trusted, authority);
    const server = await EchoServer.listen("h2", suite);
    const chain = await startChain(suite, { h2: { port: server.port, speaks: "h2" } }, { concurrency: 2 }, hop);
    url = (path) => `https://127.0.0.1:${chain.frontPort("h2")}${path}`;
  });

  test("curl verifies the certificate and speaks what ALPN says: answers and uploads", async () => {
    const format = "%{http_code} %{http_version} %{size_download}";
    const curl = async (...words: string[]): Promise<string> =>
      (await run("curl", ["-sS", "--max-time", "20", "-o", "/dev/null", "-w", format, ...words])).stdout;
    const body = join(scratchFolder(suite), "body");
    writeFileSync(body, Buffer.alloc(500_000, "b"));
    for (const [option, version] of [
      ["--http2", "2"],
      ["--http1.1", "1.1"],
    ] as const) {
      const words = [option, "--cacert", trusted];
      assert.equal(await curl(...words, url("/length/1000000")), `200 ${version} 1000000`);
      assert.equal(await curl(...words, url("/length/70000"), "--head"), `200 ${version} 0`);
      assert.equal(await curl(...words, url("/status/204")), `204 ${version} 0`);
      assert.equal(await curl(...words, url("/echo/length"), "--data-binary", `@${body}`), `200 ${version} 500000`);
      assert.equal(await curl(...words, url("/echo/chunks"), "-T", body), `200 ${version} 500000`);
    }
    await assert.rejects(curl("--http2", url("/length/3")), /certificate/); // of an authority that curl does not know
  });

  test("h2load: nothing fails", async () => {
    assert.deepEqual(await h2load("-c8", "-m10", "-n2000", url("/length/3000")), good(2000));
    assert.deepEqual(await h2load("-c4", "-m10", "-n1000", "-w10", "-W10", url("/length/3000")), good(1000));
    assert.deepEqual(await h2load("--h1", "-c8", "-n2000", url("/length/100")), good(2000));
  });
});

/** nghttp2's own server, with files of 23 bytes and of 1 MB. */
async function nghttpd(folder: string, owner: Owner): Promise<number> {
  const port = await freePort();
  writeFileSync(join(folder, "small"), "x".repeat(23));
  writeFileSync(join(folder, "large"), Buffer.alloc(1_000_000, "x"));
  await serve(
    owner,
    [port],
    "/usr/sbin/nghttpd",
    "--no-tls",
    `--htdocs=${folder}`,
    "--address=127.0.0.1",
    String(port),
  );
  return port;
}

interface LoadSums {
  readonly succeeded: number;
  readonly failed: number;
  readonly errored: number;
  readonly timeout: number;
  /** By class of status. */
  readonly ok: number;
}

/** Runs h2load to its end. */
async function h2load(...words: string[]): Promise<LoadSums> {
  const { stdout } = await run("h2load", words, { timeout: 60_000 });
  const number = (what: string): number => Number(new RegExp(`(\\d+) ${what}\\b`).exec(stdout)?.[1] ?? Number.NaN);
  return {
    succeeded: number("succeeded"),
    failed: number("failed"),
    errored: number("errored"),
    timeout: number("timeout"),
    ok: number("2xx"),
  };
}

function good(requests: number): LoadSums {
  return { succeeded: requests, failed: 0, errored: 0, timeout: 0, ok: requests };
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}
