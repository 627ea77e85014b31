import assert from "node:assert/strict";
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import { adsBootstrap, startControlPlane, type TestControlPlane, type World } from "../harness/control-plane.ts";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually, PATIENCE_MS } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, spawnSidecar } from "../harness/sidecar.ts";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

const ours = new TestAuthority("Ours");
const theirs = new TestAuthority("Theirs");
const certificates = {
  front: ours.issue({ commonName: "front", dns: ["front.example"] }),
  renewed: ours.issue({ commonName: "renewed", dns: ["front.example"] }),
  client: ours.issue({ commonName: "client", usage: "client" }),
  other: ours.issue({ commonName: "other", usage: "client" }),
  up: ours.issue({ commonName: "up", dns: ["up.example"] }),
};

/** A line from the middle of a key, by which it would be known anywhere. */
const keyLines = Object.values(certificates).map(({ key }) => key.split("\n")[1] ?? "");

const inline = (inline_string: string): Json => ({ inline_string });
const pair = (name: string, { chain, key }: TestCertificate): Json => ({
  name,
  tls_certificate: { certificate_chain: inline(chain), private_key: inline(key) },
});
const roots = (name: string, authority: TestAuthority): Json => ({
  name,
  validation_context: { trusted_ca: inline(authority.certificate) },
});
const sds = (name: string, fields: Json = {}): Json => ({
  name,
  sds_config: { ads: {}, resource_api_version: "V3", ...fields },
});
/** SDS from the control plane's own service of secrets. */
const SDS_STREAM: Json = {
  api_type: "GRPC",
  transport_api_version: "V3",
  grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
};
const socket = (type: string, fields: Json): Json => ({
  name: "tls",
  typed_config: { "@type": `${TLS}.${type}`, ...fields },
});

/** "in" in plaintext and "tls" go to "up", which asks for a client certificate. All credentials come by SDS. */
function world(upstream: number, secrets: readonly Json[], fields: Json = {}): World {
  const routes = inlineRoutes([virtualHost("*", "up")]);
  const secured = listener({ name: "tls", routes });
  const [chain] = secured["filter_chains"] as readonly Json[];
  const server = socket("DownstreamTlsContext", {
    common_tls_context: {
      tls_certificate_sds_secret_configs: [sds("server", fields)],
      validation_context_sds_secret_config: sds("clients", fields),
    },
  });
  const client = socket("UpstreamTlsContext", {
    sni: "up.example",
    common_tls_context: {
      tls_certificate_sds_secret_configs: [sds("client", fields)],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "up.example" } }],
        },
        validation_context_sds_secret_config: sds("servers", fields),
      },
    },
  });
  return {
    listeners: [
      listener({ name: "in", routes }),
      { ...secured, filter_chains: [{ ...chain, transport_socket: server }] },
    ],
    clusters: [cluster("up", [upstream], { transport_socket: client })],
    secrets,
  };
}

const all = ({ server = certificates.front, client = certificates.client, trusted = ours } = {}): readonly Json[] => [
  pair("server", server),
  pair("client", client),
  roots("clients", trusted),
  roots("servers", ours),
];

interface Scene {
  readonly owner: Owner;
  readonly controlPlane: TestControlPlane;
  readonly sidecar: SidecarProcess;
  /** Answers with the name of the client's certificate. */
  readonly upstream: number;
}

async function start(t: TestContext, concurrency: number): Promise<Scene> {
  const owner = lastFirst(t);
  const { chain, key } = certificates.up;
  const upstream = createServer({ cert: chain, key, ca: ours.certificate, requestCert: true }, (asked, response) => {
    response.end((asked.socket as TLSSocket).getPeerCertificate().subject?.CN ?? "");
  });
  upstream.maxRequestsPerSocket = 50; // so that connections are made anew, and nobody loses any
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  owner.after(() => upstream.close().closeAllConnections());
  const controlPlane = await startControlPlane(owner);
  const sidecar = spawnSidecar(adsBootstrap(controlPlane.port, "delta"), owner, {
    concurrency,
  });
  return { owner, controlPlane, sidecar, upstream: (upstream.address() as AddressInfo).port };
}

/** A handshake and a request with the listener "tls": the server's name, or "resumed", or why it was refused. */
async function shake(port: number, options: ConnectionOptions = {}): Promise<string> {
  const { chain: cert, key } = certificates.client;
  const peer = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, cert, key, ...options });
  const closed = once(peer, "close").then(() => Promise.reject(new Error("closed")));
  try {
    await Promise.race([once(peer, "secureConnect"), closed]);
    peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); // who is refused hears so now at the latest
    await Promise.race([once(peer, "data"), closed]);
    // Node's clients have no certificate of a server whose session they resume.
    return peer.isSessionReused() ? "resumed" : String(peer.getPeerCertificate().subject?.CN);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code ?? message;
  } finally {
    closed.catch(() => undefined);
    peer.destroy();
  }
}

describe("secrets by SDS", { concurrency: 2 }, () => {
  test("statement 62: late secrets are waited for; rotations touch new handshakes only, and no request fails", async (t) => {
    const { owner, controlPlane, sidecar, upstream } = await start(t, 2);
    controlPlane.set(world(upstream, []));
    await sidecar.untilAdmin();
    await eventually("all secrets are asked for", async () => {
      const dump = await sidecar.page("/config_dump?resource=dynamic_warming_secrets");
      return ["server", "client", "clients", "servers"].every((name) => dump.includes(`"${name}"`));
    });
    assert.equal(await sidecar.listens("tls"), false);
    controlPlane.set(world(upstream, all()));
    await sidecar.untilReady();
    const port = await sidecar.port("tls");
    assert.equal(await shake(port), "front");

    const load = startLoad(`http://127.0.0.1:${await sidecar.port("in")}/`, 4, t);
    owner.after(() => load.stop());
    await eventually("the upstream sees the client", () => load.recent.at(-1) === "client");

    // A client that stays, over every rotation.
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 1,
      rejectUnauthorized: false,
      cert: certificates.client.chain,
      key: certificates.client.key,
    });
    owner.after(() => agent.destroy());
    const sockets = new Set<unknown>();
    const ask = async (): Promise<number> => {
      const asked = request({ port, agent, host: "127.0.0.1" }).end();
      const [answer] = await once(asked, "response");
      answer.resume();
      await once(answer, "end");
      sockets.add(answer.socket ?? asked.socket);
      return answer.statusCode;
    };
    assert.equal(await ask(), 200);

    controlPlane.set(world(upstream, all({ server: certificates.renewed })));
    await eventually("new clients see the new certificate", async () => (await shake(port)) === "renewed");
    assert.equal(await ask(), 200);

    controlPlane.set(world(upstream, all({ server: certificates.renewed, client: certificates.other })));
    await eventually("the upstream sees the new client", () =>
      load.recent.slice(-20).every((name) => name === "other"),
    );
    assert.equal(await ask(), 200);

    // A key that is not the certificate's changes nothing, and is told.
    const { key } = certificates.other;
    const wrong = pair("server", { ...certificates.front, key });
    controlPlane.set(world(upstream, [wrong, ...all({ client: certificates.other }).slice(1)]));
    await eventually("it is rejected", () => controlPlane.rejection("secrets") !== undefined);
    const rejection = controlPlane.rejection("secrets") ?? "";
    assert.equal(rejection, 'secret "server": tls_certificate.private_key: does not belong to the certificate');
    assert.equal(await shake(port), "renewed");
    controlPlane.set(world(upstream, all({ client: certificates.other })));
    await eventually("a good one heals it", async () => (await shake(port)) === "front");
    assert.equal(await ask(), 200);

    // Secrets that the control plane takes away stay.
    controlPlane.set(world(upstream, []));
    await eventually("they are taken away", () => controlPlane.settled);
    assert.equal(await shake(port), "front");

    assert.equal(sockets.size, 1, "the client that stays had one connection");
    const { requests, failures } = await load.stop();
    t.diagnostic(`${requests} requests`);
    assert.deepEqual([...failures], []);

    const stats = await sidecar.page("/stats?usedonly");
    assert.match(stats, /^listener\.\S+\.server_ssl_socket_factory\.ssl_context_update_by_sds: [3-9]$/m);
    assert.match(stats, /^cluster\.up\.client_ssl_socket_factory\.ssl_context_update_by_sds: [2-9]$/m);
    assert.match(stats, /^sds\.server\.update_success: [3-9]$/m);
    assert.doesNotMatch(stats, /listener_manager\.listener_modified: [1-9]/);
    assert.doesNotMatch(stats, /cluster_manager\.cluster_modified: [1-9]/);
    await showsNoKey(sidecar, rejection);
  });

  test("who was trusted is not any more, resumption or not; secrets may have a stream of their own", async (t) => {
    const { controlPlane, sidecar, upstream } = await start(t, 1);
    const own = { ads: undefined, api_config_source: SDS_STREAM };
    controlPlane.set(world(upstream, all(), own));
    await sidecar.untilReady();
    const port = await sidecar.port("tls");
    const { chain: cert, key } = certificates.client;
    const first = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, cert, key });
    const [session] = (await once(first, "session")) as [Buffer];
    assert.equal(await shake(port, { session }), "resumed");

    controlPlane.set(world(upstream, all({ trusted: theirs }), own));
    await eventually("its authority is not trusted any more", async () => (await shake(port)) !== "front");
    assert.match(await shake(port, { session }), /^(ECONNRESET|EPIPE|closed)$/);
    assert.equal(first.destroyed, false, "who was let in stays");
    first.destroy();
  });

  test("a list of the revoked that changes under load fails no request and cuts nobody, and refuses whom it names", async (t) => {
    const { owner, controlPlane, sidecar, upstream } = await start(t, 2);
    const withList = (...revoked: readonly TestCertificate[]): World =>
      world(upstream, [
        ...all().filter((secret) => secret["name"] !== "clients"),
        {
          name: "clients",
          validation_context: { trusted_ca: inline(ours.certificate), crl: inline(ours.revoke(revoked)) },
        },
      ]);
    controlPlane.set(withList());
    await sidecar.untilReady();
    const port = await sidecar.port("tls");
    const { chain: cert, key } = certificates.other;
    const held = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, cert, key });
    await once(held, "secureConnect");
    const { chain, key: own } = certificates.client;
    const agent = new Agent({ keepAlive: true, maxSockets: 20, rejectUnauthorized: false, cert: chain, key: own });
    const load = startLoad(`https://127.0.0.1:${port}/`, 20, owner, { agent });
    await eventually("the load runs", () => load.count > 100);
    for (let round = 0; round < 3; round += 1) {
      controlPlane.set(withList(certificates.other));
      await eventually("who is revoked is refused", async () => (await shake(port, { cert, key })) !== "front");
      assert.equal(await shake(port), "front");
      controlPlane.set(withList());
      await eventually("who is not any more is let in", async () => (await shake(port, { cert, key })) === "front");
    }
    assert.equal(held.destroyed, false, "who was let in before stays");
    held.destroy();
    assert.deepEqual([...(await load.stop()).failures], []);
  });

  test("without its secrets a listener refuses, and a cluster's connections fail, until they come", async (t) => {
    const { controlPlane, sidecar, upstream } = await start(t, 1);
    const patience = { initial_fetch_timeout: "0.2s" };
    controlPlane.set(world(upstream, [], patience));
    await sidecar.untilReady();
    const port = await sidecar.port("tls");
    assert.match(await shake(port), /^(ECONNRESET|closed)$/);
    const answer = await fetch(`http://127.0.0.1:${await sidecar.port("in")}/`);
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /reset reason: remote connection failure$/);
    const stats = await sidecar.page("/stats?usedonly");
    assert.match(stats, /^listener\.\S+\.server_ssl_socket_factory\.downstream_context_secrets_not_ready: [1-9]/m);
    assert.match(stats, /^cluster\.up\.client_ssl_socket_factory\.upstream_context_secrets_not_ready: [1-9]/m);
    controlPlane.set(world(upstream, all(), patience));
    await eventually("both work", async () => (await shake(port)) === "front");
    assert.equal(await (await fetch(`http://127.0.0.1:${await sidecar.port("in")}/`)).text(), "client");
  });
});

test("without a control plane secrets come from a file, and are followed to the files that they name", async (t) => {
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  const put = (name: string, text: string): void => {
    writeFileSync(`${folder}/.${name}`, text);
    renameSync(`${folder}/.${name}`, `${folder}/${name}`);
  };
  const putPair = ({ chain, key }: TestCertificate): void => {
    put("web.key", key);
    put("web.pem", chain);
  };
  const putSecret = (tls_certificate: Json): void =>
    put("sds.yaml", JSON.stringify({ resources: [{ "@type": `${TLS}.Secret`, name: "web", tls_certificate }] }));
  putPair(certificates.front);
  putSecret({
    certificate_chain: { filename: `${folder}/web.pem` },
    private_key: { filename: `${folder}/web.key` },
    watched_directory: { path: folder },
  });
  const plain = listener({ name: "tls", routes: inlineRoutes([virtualHost("*", "none")]) });
  const [chain] = plain["filter_chains"] as readonly Json[];
  const sds_config = { path_config_source: { path: `${folder}/sds.yaml` }, resource_api_version: "V3" };
  const common_tls_context = {
    tls_certificate_sds_secret_configs: [{ name: "web", sds_config }],
    // One of the bootstrap's own.
    validation_context_sds_secret_config: { name: "clients" },
  };
  const transport_socket = socket("DownstreamTlsContext", { common_tls_context });
  const { static_resources, ...rest } = staticBootstrap(
    [{ ...plain, filter_chains: [{ ...chain, transport_socket }] }],
    [cluster("none", [])],
  );
  const resources = { ...(static_resources as Json), secrets: [roots("clients", ours)] };
  const sidecar = spawnSidecar({ ...rest, static_resources: resources }, owner, {
    // Between the key and the certificate of a pair.
    expectedErrors: /the files of a secret cannot be used/,
  });
  await sidecar.untilReady();
  const port = await sidecar.port("tls");
  assert.equal(await shake(port), "front");
  putPair(certificates.renewed);
  await eventually("the files' certificate is shown", async () => (await shake(port)) === "renewed");
  const { chain: cert, key } = certificates.up;
  putSecret({ certificate_chain: inline(cert), private_key: inline(key) });
  await eventually("the secret's own is shown", async () => (await shake(port)) === "up");
  const stranger = theirs.issue({ commonName: "stranger", usage: "client" });
  assert.match(await shake(port, { cert: stranger.chain, key: stranger.key }), /^(ECONNRESET|EPIPE|closed)$/);
  assert.match(await sidecar.page("/config_dump?resource=static_secrets"), /"clients"/);
});

/** No page of admin, no line of the log and no error has anything of a key. */
async function showsNoKey(sidecar: SidecarProcess, ...texts: readonly string[]): Promise<void> {
  const help = await sidecar.page("/help");
  const paths = [...help.matchAll(/^\s*(\/[\w/.-]+)/gm)].flatMap(([, path = ""]) => path);
  const pages = [
    ...paths,
    "/config_dump?include_eds",
    "/config_dump?resource=dynamic_active_secrets",
    "/stats?format=json",
  ];
  assert.ok(pages.includes("/certs") && pages.includes("/config_dump"), help);
  const shown = new Map<string, string>(texts.entries().map(([index, text]) => [`text ${index}`, text]));
  shown.set("log", sidecar.log);
  for (const path of pages) {
    const method = await fetch(`http://${sidecar.admin}${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    shown.set(path, await method.text());
  }
  for (const [where, text] of shown) {
    for (const line of keyLines) {
      assert.ok(line.length > 30);
      assert.ok(!text.includes(line) && !text.includes(line.slice(4, 34)), `${where} shows a key`);
    }
  }
  const dump = shown.get("/config_dump?resource=dynamic_active_secrets") ?? "";
  assert.match(dump, /"private_key": ?\{\s*"inline_string": ?"\[redacted\]"/);
}
