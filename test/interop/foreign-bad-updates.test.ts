import assert from "node:assert/strict";
import { request as askHttp } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import { adsBootstrap, edsCluster, rds, type World } from "../harness/control-plane.ts";
import { type Json, listener, loadAssignment, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import {
  ForeignControlPlane,
  type ForeignResource,
  foreignResource,
  foreignTypeUrl,
} from "../harness/foreign-control-plane.ts";
import { foreignStruct } from "../harness/foreign-protos.ts";
import { type RunningLoad, startLoad } from "../harness/load.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarProcess, spawnSidecar } from "../harness/sidecar.ts";

/*
 * What else a foreign control plane sends, under load: of secrets, filters' configurations, runtime layers and virtual hosts a bad
 * update is rejected with all its reasons, the last good one goes on, and the next good one heals it. No request fails.
 */

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const HEALTH_CHECK = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck";
const ADS: Json = { ads: {}, resource_api_version: "V3" };

const authority = new TestAuthority("Ours");
const server = authority.issue({ commonName: "up", dns: ["up.example"] });
const clients = {
  one: authority.issue({ commonName: "one", usage: "client" }),
  two: authority.issue({ commonName: "two", usage: "client" }),
};

/** Of each type which of two good ones is told. */
interface Good {
  /** The client certificate towards "secured", which answers with its name. */
  readonly secrets: "one" | "two";
  /** The path that the health check answers, with nothing. */
  readonly extensions: "/one" | "/two";
  /** How much of "/split" goes to "plain". */
  readonly runtime: 0 | 100;
  /** Where the host "late.example" goes. */
  readonly virtualHosts: "secured" | "plain";
}

const FIRST: Good = { secrets: "one", extensions: "/one", runtime: 0, virtualHosts: "secured" };
const SECOND: Good = { secrets: "two", extensions: "/two", runtime: 100, virtualHosts: "plain" };

interface BadUpdate {
  readonly resources: readonly ForeignResource[];
  readonly reasons: readonly RegExp[];
}

const BAD: Readonly<Record<keyof Good, BadUpdate>> = {
  secrets: {
    resources: [
      foreignResource("secrets", pair("client", { ...clients.one, key: clients.two.key })),
      foreignResource("secrets", { name: "servers", validation_context: { trusted_ca: inline("hunter2") } }),
    ],
    reasons: [/"client": tls_certificate\.private_key: does not belong/, /"servers": validation_context\.trusted_ca/],
  },
  extensions: {
    resources: [
      foreignResource("extensions", {
        name: "check",
        typed_config: { "@type": HEALTH_CHECK, headers: [{ name: "", string_match: { exact: "/three" } }] },
      }),
    ],
    reasons: [/"check".*pass_through_mode/, /headers\[0\]\.name/],
  },
  runtime: {
    resources: [
      foreignResource("runtime", { name: "live", layer: foreignStruct({ split: { share: [1] }, no: null }) }),
    ],
    reasons: [/"live".*layer\.split\.share: found a list/, /layer\.no: found null/],
  },
  virtualHosts: {
    resources: [
      foreignResource(
        "virtualHosts",
        {
          name: "late",
          domains: ["late.example"],
          routes: [
            { match: { safe_regex: { regex: "(" } }, route: { cluster: "plain" } },
            { match: { prefix: "/" }, direct_response: { status: 7 } },
          ],
        },
        "all/late",
      ),
    ],
    reasons: [/"all\/late".*routes\[0\]\.match\.safe_regex/, /routes\[1\]\.direct_response\.status/],
  },
};

for (const variant of ["sotw", "delta"] as const) {
  describe(`bad updates of what refines a configuration, from a foreign control plane (${variant})`, () => {
    const suite = lastFirst({ after });
    let controlPlane: ForeignControlPlane;
    let sidecar: SidecarProcess;
    let load: RunningLoad;
    let port: number;
    let good = FIRST;
    let world: (good: Good) => World;

    before(async () => {
      const plain = await RawUpstream.listen(suite);
      plain.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain");
      const ports = { plain: plain.port, secured: await startSecured(suite) };
      world = (wish) => worldOf(wish, ports, variant === "delta");
      controlPlane = await ForeignControlPlane.start(suite, { variant, world: world(good) });
      const layers = [{ name: "rtds", rtds_layer: { name: "live", rtds_config: ADS } }];
      sidecar = spawnSidecar({ ...adsBootstrap(controlPlane.port, variant), layered_runtime: { layers } }, suite);
      await sidecar.untilReady();
      port = await sidecar.port("in");
      await eventually("all of it is in force", async () => (await inForce()) === "");
      load = startLoad(`http://127.0.0.1:${port}/`, 2, suite);
      suite.after(async () => {
        const { failures } = await load.stop();
        assert.deepEqual([...failures], [], "no request has failed");
      });
    });

    for (const kind of Object.keys(BAD) as (keyof Good)[]) {
      // There is no VHDS in the state of the world.
      if (kind === "virtualHosts" && variant === "sotw") continue;
      test(`${kind}: rejected with all reasons, the good one before it serves, the next heals it`, async () => {
        const { resources, reasons } = BAD[kind];
        controlPlane.stream.send({ typeUrl: foreignTypeUrl(kind), resources });
        await eventually("it is rejected", () => controlPlane.rejection(kind) !== undefined);
        const message = controlPlane.rejection(kind) ?? "";
        for (const reason of reasons) assert.match(message, reason);
        assert.doesNotMatch(message, /BEGIN|hunter2/, "nothing of a secret is told");
        assert.match(await sidecar.page("/inspect"), /"NACKED"/);
        const { count } = load;
        await eventually("requests are answered", () => load.count > count + 100);
        assert.equal(await inForce(), "");

        good = { ...good, [kind]: SECOND[kind] };
        controlPlane.set(world(good));
        await eventually("the next good one is in force", async () => (await inForce()) === "");
        await eventually("nothing is rejected any more", () => controlPlane.rejection(kind) === undefined);
        assert.doesNotMatch(await sidecar.page("/inspect"), /"NACKED"/);
      });
    }

    /** What is not as it is told last; nothing where all is. */
    async function inForce(): Promise<string> {
      const { secrets, extensions, runtime, virtualHosts } = good;
      const other = extensions === "/one" ? "/two" : "/one";
      const late = virtualHosts === "plain" ? "plain" : secrets;
      const wrong = [
        (await ask(port, "/")) === secrets || "secrets",
        ((await ask(port, extensions)) === "" && (await ask(port, other)) === secrets) || "extensions",
        (await ask(port, "/split")) === (runtime === 100 ? "plain" : secrets) || "runtime",
        variant === "sotw" || (await ask(port, "/", "late.example")) === late || "virtualHosts",
      ];
      return wrong.filter((which) => which !== true).join();
    }
  });
}

/** Everything goes to "secured", in TLS with credentials by SDS, but for what `Good` says. */
function worldOf(good: Good, ports: { readonly plain: number; readonly secured: number }, withVhds: boolean): World {
  const filters = [{ name: "check", config_discovery: { config_source: ADS, type_urls: [HEALTH_CHECK] } }];
  const split = {
    match: {
      prefix: "/split",
      runtime_fraction: { default_value: { numerator: 100 }, runtime_key: "split.share" },
    },
    route: { cluster: "plain" },
  };
  const rest = { match: { prefix: "/" }, route: { cluster: "secured" } };
  const late = virtualHost("late.example", good.virtualHosts);
  return {
    listeners: [listener({ name: "in", routes: rds("all"), filters })],
    routes: [
      {
        name: "all",
        virtual_hosts: [{ name: "rest", domains: ["*"], routes: [split, rest] }],
        ...(withVhds && { vhds: { config_source: ADS } }),
      },
    ],
    clusters: [edsCluster("plain"), edsCluster("secured", { transport_socket: clientTls() })],
    endpoints: [loadAssignment("plain", [ports.plain]), loadAssignment("secured", [ports.secured])],
    secrets: [
      pair("client", clients[good.secrets]),
      { name: "servers", validation_context: { trusted_ca: inline(authority.certificate) } },
    ],
    extensions: [
      {
        name: "check",
        typed_config: {
          "@type": HEALTH_CHECK,
          pass_through_mode: { value: false },
          headers: [{ name: ":path", string_match: { exact: good.extensions } }],
        },
      },
    ],
    runtime: [{ name: "live", layer: foreignStruct({ split: { share: good.runtime } }) }],
    virtualHosts: withVhds ? { "all/late": { ...late, name: "late" } } : {},
  };
}

function clientTls(): Json {
  return {
    name: "tls",
    typed_config: {
      "@type": `${TLS}.UpstreamTlsContext`,
      sni: "up.example",
      common_tls_context: {
        tls_certificate_sds_secret_configs: [{ name: "client", sds_config: ADS }],
        validation_context_sds_secret_config: { name: "servers", sds_config: ADS },
      },
    },
  };
}

function pair(name: string, { chain, key }: TestCertificate): Json {
  return { name, tls_certificate: { certificate_chain: inline(chain), private_key: inline(key) } };
}

function inline(inline_string: string): Json {
  return { inline_string };
}

/** Answers with the name of the client's certificate. Connections are made anew all the time, as rotations show in them alone. */
async function startSecured(owner: Owner): Promise<number> {
  const secured = createServer(
    { cert: server.chain, key: server.key, ca: authority.certificate, requestCert: true },
    (asked, response) => response.end((asked.socket as TLSSocket).getPeerCertificate().subject?.CN),
  );
  secured.maxRequestsPerSocket = 20;
  await new Promise<void>((resolve) => secured.listen(0, "127.0.0.1", resolve));
  owner.after(() => secured.close().closeAllConnections());
  return (secured.address() as AddressInfo).port;
}

/** The body; unlike `fetch` it takes any host. */
function ask(port: number, path: string, host = "any"): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = askHttp({ host: "127.0.0.1", port, path, headers: { host }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve(response.statusCode === 200 ? body : `${response.statusCode} ${body}`));
    });
    asked.on("error", reject).end();
  });
}
