import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connect as tlsConnect } from "node:tls";
import { Client, type ClientDuplexStream, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { type CertificateWish, TestAuthority } from "@heddle/identity/testing";
import {
  type DeltaDiscoveryResponse,
  type DiscoveryResponse,
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryResponse,
  decodeMessage,
  encodeDeltaDiscoveryRequest,
  encodeDiscoveryRequest,
  encodeMessage,
  messageOf,
  messagesOf,
  textOf,
} from "@heddle/proto";
import { eventually, quietMetrics, testNode } from "@heddle/xds/testing";
import { CA_OPTIONS, TestLog } from "../ca/testing.ts";
import { type ControlPlane, startControlPlane } from "../control-plane.ts";
import { formatHostPort } from "./address.ts";

const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const SDS = "/envoy.service.secret.v3.SecretDiscoveryService";
const SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ID = "spiffe://cluster.local/ns/shop/sa/web";
const DAY_MS = 86_400_000;

/** A control plane whose authority is an operator's, and nodes with certificates of whatever kind. */
describe("statement 80: xDS behind mutual TLS", { timeout: 60_000 }, () => {
  const top = new TestAuthority("Root");
  const signingKey = top.issue({}).key;
  const between = new TestAuthority("Signing", top, { uris: ["spiffe://cluster.local"], key: signingKey });
  let folder: string;
  let controlPlane: ControlPlane;
  const clients: Client[] = [];
  const log = new TestLog();

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "heddle-secure-xds-"));
    const files: Record<string, string> = {
      "signing.pem": between.certificate,
      "signing.key": signingKey,
      "roots.pem": top.certificate,
      "mesh.yaml": MESH,
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const anyPort = { host: "127.0.0.1", port: 0 };
    controlPlane = await startControlPlane({
      folders: [folder],
      xdsAddress: anyPort,
      xdsRestAddress: anyPort,
      adminAddress: anyPort,
      ca: {
        ...CA_OPTIONS,
        renewalGraceMs: 0,
        files: {
          certificateFile: join(folder, "signing.pem"),
          keyFile: join(folder, "signing.key"),
          rootFile: join(folder, "roots.pem"),
        },
      },
      identifier: "test",
      clock: systemClock,
      log: log.log,
      metrics: quietMetrics,
      collectMetrics: () => [],
    });
  });

  after(async () => {
    for (const client of clients) client.close();
    await controlPlane.stop();
    await rm(folder, { recursive: true });
  });

  it("X1, X4: a node with a certificate of the mesh gets its resources and its own secrets, delta and state of the world", async () => {
    const client = secure({ uris: [ID] });
    const delta = await firstDelta(client, "shop/web/1", CLUSTER);
    assert.ok(delta.resources.some(({ name }) => name === "outbound/80/web.shop"));
    assert.deepEqual(namesOf(await firstDelta(client, "shop/web/1", SECRET)), ["of-web"]);
    assert.deepEqual(namesOf(await firstDelta(client, "shop/web/1", SECRET, SDS, "DeltaSecrets")), ["of-web"]);
    const sotw = await firstSotw(client, "shop/web/1", SECRET, ["of-web", "of-orders"]);
    assert.equal(sotw.resources.length, 1, "X5: the other one is left out");
  });

  it("X1: a node with a certificate that the operator's intermediate has signed is let in", async () => {
    const delta = await firstDelta(secure({ uris: [ID] }, between), "shop/web/1", CLUSTER);
    assert.ok(delta.resources.some(({ name }) => name === "outbound/80/web.shop"));
  });

  it("X1: so is one whose certificate is of an intermediate from before, which it shows, and of no other root", async () => {
    const former = new TestAuthority("Former", top, { uris: ["spiffe://cluster.local"] });
    const delta = await firstDelta(secure({ uris: [ID] }, former), "shop/web/1", CLUSTER);
    assert.ok(delta.resources.some(({ name }) => name === "outbound/80/web.shop"));
    const others = new TestAuthority("Former", new TestAuthority("Root"), { uris: ["spiffe://cluster.local"] });
    const error = await failureOf(openDelta(secure({ uris: [ID] }, others), "shop/web/1", CLUSTER));
    assert.equal(error.code, status.UNAVAILABLE);
  });

  it("X4: another node's secret is not given by name, nor because of what a node says its cluster is", async () => {
    const client = secure({ uris: [ID] });
    const asked = await firstDelta(client, "shop/web/1", SECRET, ADS, "DeltaAggregatedResources", ["of-orders"]);
    assert.deepEqual([namesOf(asked), asked.removedResources], [[], ["of-orders"]]);
    const claiming = await firstDelta(client, "shop/web/1", SECRET, SDS, "DeltaSecrets", ["of-orders"], "orders");
    assert.deepEqual(namesOf(claiming), []);
  });

  for (const [what, id, details] of [
    ["another namespace", "default/web/1", /of the namespace default, and its certificate of shop/],
    ["a workload of another account", "shop/orders/1", /runs as orders, and the certificate is that of web/],
  ] as const)
    it(`X2: a node that says it is of ${what} is refused`, async () => {
      const error = await failureOf(openDelta(secure({ uris: [ID] }), id, CLUSTER));
      assert.equal(error.code, status.PERMISSION_DENIED);
      assert.match(error.details, details);
    });

  it("X1: without a certificate there is no stream, whatever the node says", async () => {
    const client = open(credentials.createSsl(Buffer.from(top.certificate)));
    const error = await failureOf(openDelta(client, "shop/web/1", CLUSTER));
    assert.deepEqual([error.code, error.details], [status.UNAUTHENTICATED, "the connection has no certificate"]);
  });

  const stranger = new TestAuthority("Root");
  for (const [what, issuer, wish] of [
    ["of an authority that nobody knows", stranger, { uris: [ID] }],
    ["that has expired", top, { uris: [ID], validTo: new Date(systemClock.wallNow() - 1000) }],
    ["that is not valid yet", top, { uris: [ID], validFrom: new Date(systemClock.wallNow() + DAY_MS) }],
    ["of another trust domain", top, { uris: ["spiffe://other.example/ns/shop/sa/web"] }],
    ["that signs others", top, { uris: [ID], isAuthority: true }],
    ["with two URIs", top, { uris: [ID, "spiffe://cluster.local/ns/shop/sa/orders"] }],
    ["with a NUL in its URI", top, { uris: [`${ID}\0.evil`] }],
    ["without a URI", top, { dns: ["web.shop"] }],
    ["for servers alone", top, { uris: [ID], usage: "server" }],
    ["that names no workload", top, { uris: ["spiffe://cluster.local"] }],
    ["signed with SHA-1", top, { uris: [ID], weakSignature: true }],
  ] as const)
    it(`X1: a certificate ${what} gets no call through`, async () => {
      const error = await failureOf(openDelta(secure(wish, issuer), "shop/web/1", CLUSTER));
      assert.equal(error.code, status.UNAVAILABLE);
    });

  it("CVE-2022-21654: no session is resumed, so none outlives what vouched for it", async () => {
    const { certificate, key } = top.issue({ uris: [ID] });
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const dial = (session?: Buffer) =>
        tlsConnect({
          ...controlPlane.xdsTlsAddress!, // there is one
          ALPNProtocols: ["h2"],
          cert: certificate,
          key,
          ca: top.certificate,
          servername: "localhost",
          minVersion: version,
          maxVersion: version,
          ...(session && { session }),
        });
      const first = dial();
      await new Promise((resolve) => first.once("secureConnect", resolve));
      // Under TLS 1.3 a session comes after the handshake, if at all: once an answer has come it would have.
      let session = first.getSession();
      first.on("session", (later) => (session = later));
      first.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
      await new Promise((resolve) => first.once("data", resolve));
      first.destroy();
      const second = dial(session);
      await new Promise((resolve) => second.once("secureConnect", resolve));
      assert.equal(second.isSessionReused(), false, version);
      second.destroy();
    }
  });

  it("X7: over the plaintext port go no secrets; all else does", async () => {
    const client = new Client(formatHostPort(controlPlane.xdsAddress), credentials.createInsecure());
    clients.push(client);
    assert.deepEqual(
      namesOf(await firstDelta(client, "shop/web/1", SECRET, ADS, "DeltaAggregatedResources", ["of-web"])),
      [],
    );
    assert.ok((await firstDelta(client, "shop/web/1", CLUSTER)).resources.length > 0);
    const refused = await failureOf(openDelta(client, "shop/web/1", SECRET, SDS, "DeltaSecrets"));
    assert.equal(refused.code, status.PERMISSION_DENIED);
  });

  it("X7: over REST go no secrets", async () => {
    const url = `http://${formatHostPort(controlPlane.xdsRestAddress!)}/v3/discovery:secrets`; // there is one
    const body = JSON.stringify({ node: { id: "shop/web/1", cluster: "web" }, resource_names: ["of-web"] });
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.doesNotMatch(await answer.text(), /of-web/);
  });

  it("X6: while a node has its secret, one that says the same id with another certificate gets nothing", async () => {
    const held = openDelta(secure({ uris: [ID] }), "shop/web/1", SECRET);
    held.on("error", () => undefined); // it is cancelled
    const bytes = await new Promise<Buffer>((resolve) => held.once("data", resolve));
    assert.deepEqual(namesOf(decodeDeltaDiscoveryResponse(bytes)), ["of-web"]);
    const other = secure({ uris: ["spiffe://cluster.local/ns/shop/sa/other"] });
    const error = await failureOf(openDelta(other, "shop/web/1", SECRET));
    assert.equal(error.code, status.PERMISSION_DENIED);
    const unnamed = await firstDelta(other, "shop/nobody/1", SECRET, ADS, "DeltaAggregatedResources", ["of-web"]);
    assert.deepEqual(namesOf(unnamed), []);
    held.cancel();
  });

  it("X4: a secret that is for nobody in particular is for nobody, and the log says so with its place", async () => {
    await eventually(() => log.with("is for nobody").length > 0, "the line"); // faults are looked for a moment after a change
    const [line, ...more] = log.with("is for nobody");
    assert.match(line ?? "", /mesh\.yaml:\d+:\d+: .*the secret "of-nobody" is for nobody/);
    assert.deepEqual(more, []);
  });

  it("X1: what other nodes have is not told to nodes, nor to whoever says that it is one", async () => {
    const held = openDelta(secure({ uris: [ID] }), "shop/web/1", CLUSTER);
    held.on("error", () => undefined); // it is cancelled
    await new Promise((resolve) => held.once("data", resolve));
    const plain = new Client(formatHostPort(controlPlane.xdsAddress), credentials.createInsecure());
    clients.push(plain);
    assert.deepEqual(await statusesOf(secure({ uris: [ID] }), "shop/orders/1"), ["shop/web/1"]);
    assert.deepEqual(await statusesOf(secure({ uris: [ID.replace("web", "orders")] }), "shop/web/1"), []);
    assert.deepEqual(await statusesOf(plain, "shop/web/1"), []);
    const stranger = open(credentials.createSsl(Buffer.from(top.certificate)));
    await assert.rejects(statusesOf(stranger, "shop/web/1"), { code: status.UNAUTHENTICATED });
    held.cancel();
  });

  function secure(wish: CertificateWish, issuer = top): Client {
    const { chain, key } = issuer.issue(wish);
    return open(credentials.createSsl(Buffer.from(top.certificate), Buffer.from(key), Buffer.from(chain)));
  }

  function open(security: ReturnType<typeof credentials.createSsl>): Client {
    const client = new Client(formatHostPort(controlPlane.xdsTlsAddress!), security, {
      "grpc.ssl_target_name_override": "localhost",
      "grpc.use_local_subchannel_pool": 1,
    });
    clients.push(client);
    return client;
  }
});

function openDelta(
  client: Client,
  nodeId: string,
  typeUrl: string,
  service = ADS,
  method = "DeltaAggregatedResources",
  names: readonly string[] = ["*"],
  cluster = "web",
): ClientDuplexStream<Buffer, Buffer> {
  const call = client.makeBidiStreamRequest(`${service}/${method}`, asIs, asIs);
  const request = encodeDeltaDiscoveryRequest({
    node: { ...testNode(nodeId), cluster },
    typeUrl,
    resourceNamesSubscribe: [...names],
    resourceNamesUnsubscribe: [],
    initialResourceVersions: new Map(),
    responseNonce: "",
    errorDetail: undefined,
  });
  call.write(Buffer.from(request));
  return call;
}

/** The ids of the nodes that somebody is told of who says that id (CSDS). */
async function statusesOf(client: Client, nodeId: string): Promise<readonly string[]> {
  const call = client.makeBidiStreamRequest(
    "/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus",
    asIs,
    asIs,
  );
  call.write(Buffer.from(encodeMessage("envoy.service.status.v3.ClientStatusRequest", { node: { id: nodeId } })));
  const answer = decodeMessage("envoy.service.status.v3.ClientStatusResponse", await firstMessage(call));
  assert.ok(answer.ok);
  return messagesOf(answer.value, "config").map((config) => textOf(messageOf(config, "node") ?? {}, "id"));
}

async function firstDelta(...args: Parameters<typeof openDelta>): Promise<DeltaDiscoveryResponse> {
  return decodeDeltaDiscoveryResponse(await firstMessage(openDelta(...args)));
}

async function firstSotw(
  client: Client,
  nodeId: string,
  typeUrl: string,
  names: readonly string[],
): Promise<DiscoveryResponse> {
  const call = client.makeBidiStreamRequest(`${ADS}/StreamAggregatedResources`, asIs, asIs);
  const request = encodeDiscoveryRequest({
    versionInfo: "",
    node: testNode(nodeId),
    resourceNames: [...names],
    typeUrl,
    responseNonce: "",
    errorDetail: undefined,
  });
  call.write(Buffer.from(request));
  return decodeDiscoveryResponse(await firstMessage(call));
}

async function firstMessage(call: ClientDuplexStream<Buffer, Buffer>): Promise<Buffer> {
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    call.once("data", resolve);
    call.once("error", reject);
  });
  call.on("error", () => undefined); // it is cancelled
  call.cancel();
  return bytes;
}

function failureOf(call: ClientDuplexStream<Buffer, Buffer>): Promise<ServiceError> {
  return new Promise((resolve, reject) => {
    call.once("error", resolve);
    call.once("data", () => reject(new Error("it was answered")));
  });
}

function namesOf({ resources }: DeltaDiscoveryResponse): readonly string[] {
  return resources.map(({ name }) => name);
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80 }] }
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: web, namespace: shop, labels: { app: web } }
spec: { addresses: [127.0.0.1], ports: [{ name: http, port: 8001, applicationPort: 9001 }], serviceAccount: web }
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: orders, namespace: shop, labels: { app: orders } }
spec: { addresses: [127.0.0.1], ports: [{ name: http, port: 8002, applicationPort: 9002 }], serviceAccount: orders }
---
for: { node.cluster: shop/web }
resources:
  - "@type": ${SECRET}
    name: of-web
    generic_secret: { secret: { inline_string: w } }
---
for: { node.cluster: shop/orders }
resources:
  - "@type": ${SECRET}
    name: of-orders
    generic_secret: { secret: { inline_string: o } }
---
resources:
  - "@type": ${SECRET}
    name: of-nobody
    generic_secret: { secret: { inline_string: n } }
`;
