import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import {
  cluster,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
  tcpProxy,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { http1Asker } from "../harness/http-asker.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const T = "type.googleapis.com";
const ANY = { any: true };

function rbac(fields: Json): Json {
  return {
    name: "envoy.filters.http.rbac",
    typed_config: { "@type": `${T}/envoy.extensions.filters.http.rbac.v3.RBAC`, ...fields },
  };
}

const policy = (permission: Json, principal: Json = ANY): Json => ({
  permissions: [permission],
  principals: [principal],
});
const path = (match: Json): Json => ({ url_path: { path: match } });

describe("rules of access in a whole sidecar", () => {
  const suite = lastFirst({ after });
  const ours = new TestAuthority("Ours");
  const server = ours.issue({ commonName: "front", dns: ["front.example"] });
  const alice = ours.issue({ commonName: "alice", uris: ["spiffe://td/ns/a/sa/alice"], usage: "client" });
  const bob = ours.issue({ commonName: "bob", uris: ["spiffe://td/ns/a/sa/bob"], usage: "client" });
  let sidecar: SidecarProcess;
  let folder: string;
  let httpPort: number;
  let tcpPort: number;
  let upstreamConnections = 0;

  before(async () => {
    folder = scratchFolder(suite);
    const file = (name: string, text: string): Json => {
      writeFileSync(`${folder}/${name}`, text);
      return { filename: `${folder}/${name}` };
    };
    // Speaks first: a connection that is denied must not get its greeting.
    const greeter = createServer((socket: Socket) => {
      upstreamConnections++;
      socket.on("error", () => undefined).end("greetings");
    });
    await new Promise<void>((resolve) => greeter.listen(0, "127.0.0.1", resolve));
    suite.after(() => greeter.close());
    const { port } = greeter.address() as AddressInfo;

    const direct = { direct_response: { status: 200, body: { inline_string: "hello" } } };
    const routes = inlineRoutes([
      {
        name: "all",
        domains: ["*"],
        routes: [
          {
            match: { path: "/free" },
            ...direct,
            typed_per_filter_config: {
              "envoy.filters.http.rbac": { "@type": `${T}/envoy.extensions.filters.http.rbac.v3.RBACPerRoute` },
            },
          },
          { match: { prefix: "/" }, ...direct },
        ],
      },
    ]);
    const inRange = (type: string, input: string): Json => ({
      input: { name: "i", typed_config: { "@type": `${T}/${input}` } },
      custom_match: {
        name: "ip",
        typed_config: {
          "@type": `${T}/xds.type.matcher.v3.IPMatcher`,
          range_matchers: [
            {
              ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }],
              on_match: {
                action: {
                  name: "a",
                  typed_config: { "@type": `${T}/envoy.config.rbac.v3.Action`, name: "loopback", action: type },
                },
              },
            },
          ],
        },
      },
    });
    const userAgent = { select_expr: { operand: { ident_expr: { name: "request" } }, field: "useragent" } };
    const robots = {
      call_expr: { target: userAgent, function: "contains", args: [{ const_expr: { string_value: "robot" } }] },
    };
    const rules = rbac({
      rules: {
        action: "DENY",
        policies: {
          "no admin": policy(path({ prefix: "/admin" })),
          "no robots": { ...policy(ANY), condition: robots },
        },
      },
      shadow_matcher: {
        matcher_tree: inRange("DENY", "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"),
      },
      track_per_rule_stats: true,
    });
    const networkRules = {
      name: "envoy.filters.network.rbac",
      typed_config: {
        "@type": `${T}/envoy.extensions.filters.network.rbac.v3.RBAC`,
        stat_prefix: "front",
        rules: {
          policies: {
            alice: policy(ANY, { authenticated: { principal_name: { exact: "spiffe://td/ns/a/sa/alice" } } }),
          },
        },
      },
    };
    const tls = {
      name: "tls",
      typed_config: {
        "@type": `${T}/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
        common_tls_context: {
          tls_certificates: [
            { certificate_chain: file("server.pem", server.chain), private_key: file("server.key", server.key) },
          ],
          validation_context: {
            trusted_ca: file("ca.pem", ours.certificate),
            trust_chain_verification: "ACCEPT_UNTRUSTED",
          },
        },
      },
    };
    const log = {
      name: "l4",
      typed_config: {
        "@type": `${T}/envoy.extensions.access_loggers.file.v3.FileAccessLog`,
        path: `${folder}/l4.log`,
        log_format: {
          text_format_source: {
            inline_string:
              "%CONNECTION_TERMINATION_DETAILS% %DYNAMIC_METADATA(envoy.filters.network.rbac:enforced_engine_result)%\n",
          },
        },
      },
    };
    sidecar = await startSidecar(
      staticBootstrap(
        [
          listener({
            name: "http",
            routes,
            filters: [rules],
            http: { normalize_path: true, merge_slashes: true, access_log: [jsonAccessLog(`${folder}/http.log`)] },
          }),
          {
            name: "tcp",
            address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
            filter_chains: [{ filters: [networkRules, tcpProxy({ cluster: "greeter" })], transport_socket: tls }],
            access_log: [log],
          },
        ],
        [cluster("greeter", [port])],
      ),
      suite,
    );
    httpPort = await sidecar.port("http");
    tcpPort = await sidecar.port("tcp");
  });

  const get = async (target: string): Promise<number> => {
    const raw = connectPlain(httpPort, "127.0.0.1");
    raw.write(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    let text = "";
    for await (const chunk of raw) text += String(chunk);
    return Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1]);
  };

  test("CVE-2019-9901, CVE-2021-29492, CVE-2026-73551: no way of writing a path passes the rule for it", async () => {
    assert.equal(await get("/"), 200);
    for (const target of [
      "/admin",
      "/admin/x",
      "/x/../admin",
      "/%61dmin",
      "//admin",
      "/./admin",
      "/x/%2e%2e/admin",
      "/x\\..\\admin",
      "/x/..;/admin",
      "/admin?x",
      "http://a/admin",
    ]) {
      assert.equal(await get(target), 403, target);
    }
    assert.ok([400, 403].includes(await get("/admin#x")));
  });

  test("a condition in CEL decides", async () => {
    const asker = http1Asker(httpPort, suite);
    const as = async (agent: string): Promise<number> =>
      (await asker.ask({ path: "/", headers: { "user-agent": agent } })).status;
    assert.deepEqual([await as("a robot"), await as("a browser")], [403, 200]);
    assert.match(await sidecar.page("/stats?filter=robots"), /^http\.http\.rbac\.policy\.no robots\.denied: 1$/m);
  });

  test("a denial stands in the log and in counters of its own; shadow rules have theirs; a route is free", async () => {
    assert.equal(await get("/free"), 200);
    const asker = http1Asker(httpPort, suite);
    assert.equal((await asker.ask({ method: "POST", path: "/admin/y" })).status, 403);
    const line = (): string | undefined =>
      readFileSync(`${folder}/http.log`, "utf8")
        .split("\n")
        .find((one) => one.includes("/admin/y"));
    await eventually("its line stands in the log", () => line() !== undefined);
    assert.match(line() ?? "", /rbac_access_denied_matched_policy\[no_admin\]/);
    const stats = await sidecar.page("/stats?filter=rbac");
    assert.match(stats, /^http\.http\.rbac\.denied: [1-9]/m);
    assert.match(stats, /^http\.http\.rbac\.policy\.no admin\.denied: [1-9]/m);
    assert.match(stats, /^http\.http\.rbac\.shadow_denied: [1-9]/m);
    assert.match(stats, /^http\.http\.rbac\.shadow_allowed: 0/m);
  });

  const greeting = async (certificate?: TestCertificate): Promise<string> => {
    const own = certificate && { cert: certificate.chain, key: certificate.key };
    const socket = connect({
      port: tcpPort,
      host: "127.0.0.1",
      ca: ours.certificate,
      servername: "front.example",
      ...own,
    });
    let text = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    await new Promise((resolve) => socket.once("close", resolve));
    return text;
  };

  test("a connection passes by its certificate, and one that may not reaches no upstream", async () => {
    assert.equal(await greeting(alice), "greetings");
    const before = upstreamConnections;
    assert.equal(await greeting(bob), "");
    assert.equal(await greeting(), "");
    assert.equal(upstreamConnections, before);
    const lines = (): readonly string[] => readFileSync(`${folder}/l4.log`, "utf8").trim().split("\n");
    await eventually("three lines stand in the log", () => lines().length === 3);
    assert.deepEqual(lines(), ["- -", ...Array(2).fill("rbac_access_denied_matched_policy[none] denied")]);
    const stats = await sidecar.page("/stats?filter=rbac");
    assert.match(stats, /^front\.rbac\.allowed: 1/m);
    assert.match(stats, /^front\.rbac\.denied: 2/m);
  });
});
