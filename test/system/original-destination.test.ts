import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { type Json, router, tcpProxy } from "../harness/envoy-config.ts";
import { inOwnNetwork, ip, nft } from "../harness/own-network.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/*
 * Original destination with the kernel's own rules. Everything stands in one network namespace, made for this file: `app`'s
 * connections (told by its user) are redirected to the sidecar, those of everybody else are not. 10.1.0.0/16 and fd01::/16 are addresses
 * of servers that `app` means.
 */

const APP_UID = 54321;
const EXT = "type.googleapis.com/envoy.extensions";

const address = (text: string, port: number): Json => ({ socket_address: { address: text, port_value: port } });
const http = (stat: string, routes: Json, more: Json = {}): Json => ({
  name: "http",
  typed_config: {
    "@type": `${EXT}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: stat,
    ...routes,
    http_filters: [router],
    ...more,
  },
});
const answer = (body: string): Json =>
  http("direct", {
    route_config: {
      virtual_hosts: [
        {
          name: "v",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: body } } }],
        },
      ],
    },
  });
const PASSTHROUGH: Json = {
  name: "passthrough",
  type: "ORIGINAL_DST",
  lb_policy: "CLUSTER_PROVIDED",
  connect_timeout: "2s",
};
const BLACKHOLE: Json = {
  name: "blackhole",
  type: "STATIC",
  load_assignment: { cluster_name: "blackhole" },
};

if (inOwnNetwork(import.meta.filename)) {
  describe("redirected connections", () => {
    const owner = lastFirst({ after });
    let sidecar: SidecarProcess;

    before(async () => {
      ip("link set lo up");
      for (const one of ["10.1.0.1/32", "10.1.0.2/32", "fd01::1/128"]) ip(`addr add ${one} dev lo`);
      nft(`table inet heddle {
        chain output { type nat hook output priority -100;
          meta skuid ${APP_UID} meta l4proto tcp tcp dport != 15001 redirect to :15001
        }
      }`);
      await named(owner, "10.1.0.1", 8080, "one");
      await named(owner, "10.1.0.2", 8080, "two");
      await named(owner, "fd01::1", 8080, "six");
      await greeting(owner, "10.1.0.1", 2525);
      sidecar = await startSidecar(bootstrap(), owner, { expectedErrors: /nobody/ });
    });

    test("go to the listener of their address, and else on to where they were meant to go", async () => {
      assert.equal(await ask("http://10.1.0.1:8080/"), "one");
      assert.equal(await ask("http://10.1.0.2:8080/"), "two");
      assert.equal(await ask("http://[fd01::1]:8080/"), "six");
      assert.equal(await ask("http://10.1.0.1:8081/"), "exact");
      assert.equal(await ask("http://10.1.0.2:8081/"), "wildcard");
    });

    test("of listeners without a port are told where they would be", async () => {
      const lines = (await sidecar.page("/listeners")).trim().split("\n");
      assert.deepEqual(lines.sort(), [
        "exact::10.1.0.1:8081",
        "outbound6::[::]:15001",
        "outbound::0.0.0.0:15001",
        "wildcard::0.0.0.0:8081",
      ]);
    });

    test("do not wait for a client whose server speaks first", async () => {
      assert.equal(await firstWords("10.1.0.1", 2525), "220 hello");
    });
  });
}

function bootstrap(): Json {
  const outbound = (name: string, host: string): Json => ({
    name,
    address: address(host, 15001),
    use_original_dst: true,
    filter_chains: [{ filters: [tcpProxy({ cluster: "passthrough" })] }],
  });
  return {
    static_resources: {
      listeners: [
        outbound("outbound", "0.0.0.0"),
        outbound("outbound6", "::"),
        {
          name: "exact",
          address: address("10.1.0.1", 8081),
          bind_to_port: false,
          filter_chains: [{ filters: [answer("exact")] }],
        },
        {
          name: "wildcard",
          address: address("0.0.0.0", 8081),
          bind_to_port: false,
          filter_chains: [{ filters: [answer("wildcard")] }],
        },
      ],
      clusters: [PASSTHROUGH, BLACKHOLE],
    },
  };
}

async function named(owner: { after(end: () => void): void }, host: string, port: number, name: string): Promise<void> {
  const server = createHttpServer((_request, response) => response.end(name));
  server.listen(port, host);
  await once(server, "listening");
  owner.after(() => void server.close());
}

async function greeting(owner: { after(end: () => void): void }, host: string, port: number): Promise<void> {
  const server = createServer((socket) => socket.end("220 hello"));
  server.listen(port, host);
  await once(server, "listening");
  owner.after(() => void server.close());
}

/** As `app`. */
async function asApp(program: string, ...args: string[]): Promise<string> {
  const child = spawn("setpriv", [`--reuid=${APP_UID}`, "--clear-groups", program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${errors}`);
  return out;
}

function ask(url: string, ...args: string[]): Promise<string> {
  return asApp("curl", "-sS", "--max-time", "10", ...args, url);
}

function firstWords(host: string, port: number): Promise<string> {
  return asApp("socat", "-T5", "-u", `TCP:${host}:${port}`, "STDOUT");
}
