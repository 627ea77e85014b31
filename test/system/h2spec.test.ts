import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  cluster,
  http2Cluster,
  inlineRoutes,
  listener,
  staticBootstrap,
  virtualHost,
} from "../harness/envoy-config.ts";
import { buildH2spec, freePortsInARow, runH2spec } from "../harness/h2spec.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/** As many as this version of h2spec has. */
const SERVER_CASES = 146;
const CLIENT_CASES = 57;

const tools = buildH2spec();
const missing = typeof tools === "string" ? tools : !existsSync("/usr/bin/curl") && "not installed: /usr/bin/curl";

describe("h2spec, strict", { skip: missing }, () => {
  const suite = lastFirst({ after });
  let sidecar: SidecarProcess;
  /** The first of the ports on which h2specd plays servers, one for each case. */
  let firstPort: number;
  before(async () => {
    firstPort = await freePortsInARow(CLIENT_CASES);
    const cases = Array.from({ length: CLIENT_CASES }, (_, i) => firstPort + i);
    const routes = inlineRoutes([virtualHost("*", "up")]);
    const bootstrap = staticBootstrap(
      [
        listener({ name: "h1", routes, http: { codec_type: "AUTO" } }),
        listener({
          name: "h2",
          routes: inlineRoutes([virtualHost("*", "h2-up")]),
          http: { codec_type: "HTTP2" },
        }),
        listener({
          name: "cases",
          routes: inlineRoutes(cases.map((port) => virtualHost(`127.0.0.1:${port}`, `case-${port}`))),
        }),
      ],
      [
        cluster("up", [await startHttp1(suite)]),
        http2Cluster("h2-up", [await startHttp2(suite)]),
        ...cases.map((port) => http2Cluster(`case-${port}`, [port])),
      ],
    );
    sidecar = await startSidecar(bootstrap, suite);
  });

  for (const [name, what] of [
    ["h1", "an upstream of HTTP/1"],
    ["h2", "an upstream of HTTP/2"],
  ] as const) {
    test(`${SERVER_CASES} of ${SERVER_CASES} against the listener, with ${what}`, async () => {
      const port = await sidecar.port(name);
      assert.ok(typeof tools !== "string");
      const { output, ...counts } = await runH2spec(tools.client, "--strict", "-p", String(port));
      assert.deepEqual(counts, { passed: SERVER_CASES, skipped: 0, failed: 0 }, output);
    });
  }

  test(`${CLIENT_CASES} of ${CLIENT_CASES} against the side of upstreams`, async () => {
    const port = await sidecar.port("cases");
    assert.ok(typeof tools !== "string");
    // The URL of each case follows: its host and port choose the cluster.
    const curl = `curl --silent --max-time 2 --http1.1 --proxy http://127.0.0.1:${port}`;
    const { output, ...counts } = await runH2spec(tools.server, "--strict", "-f", String(firstPort), "--exec", curl);
    assert.deepEqual(counts, { passed: CLIENT_CASES, skipped: 0, failed: 0 }, output);
  });
});

const answer: RequestListener = (req, res) => {
  req.resume();
  req.on("end", () => res.end("0123456789"));
};

async function startHttp1(owner: Owner): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function startHttp2(owner: Owner): Promise<number> {
  const server = createHttp2Server((req, res) => {
    req.resume();
    req.on("end", () => res.end("0123456789"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}
