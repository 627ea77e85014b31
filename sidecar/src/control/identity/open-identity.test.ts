import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createSecureContext } from "node:tls";
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream, status } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import {
  Certificate,
  certificateRequest,
  newWorkloadKey,
  parseSpiffeId,
  privateKeyPem,
  readSvid,
} from "@heddle/identity";
import { Authority } from "@heddle/identity/ca";
import { bytesOf, decodeMessage, encodeMessage } from "@heddle/proto";
import type { SecretConfig } from "@heddle/traffic";
import { makeSecretType, systemDataReader } from "@heddle/xds";
import { DialTooEarly, xdsDial } from "@heddle/xds/client";
import { byteMethod } from "@heddle/xds/server";
import { eventually, quietLog } from "@heddle/xds/testing";
import type { CallerTokens } from "./caller-token.ts";
import { openIdentity } from "./open-identity.ts";
import type { IdentityListener, OwnIdentity } from "./own-identity.ts";

const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const CONTROL_PLANE = "spiffe://cluster.local/ns/heddle-system/sa/control-plane";
const ISSUE = "/heddle.identity.v1.CertificateAuthority/IssueCertificate";
const WATCH = "/heddle.identity.v1.CertificateAuthority/WatchTrustBundles";

/** Asks clients for a certificate, and takes those without one. */
class AskingCredentials extends ServerCredentials {
  constructor(certificate: string, key: string, ca: string) {
    super(
      { requestCert: true, rejectUnauthorized: false },
      { cert: [Buffer.from(certificate)], key: [Buffer.from(key)], ca: Buffer.from(ca) },
    );
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** A control plane that is nothing but an authority. */
class ScriptedAuthority {
  readonly #server = new Server();
  readonly #authority: Authority;
  readonly #watches = new Set<ServerWritableStream<Buffer, Buffer>>();
  readonly callers: string[] = [];
  /** Refuses everybody with it. */
  refusal: number | undefined;
  validityMs = 3_600_000;
  /** Behind what it issues. */
  chainEnd: readonly Uint8Array[] = [];
  port = 0;
  roots: readonly Uint8Array[];

  private constructor(authority: Authority) {
    this.#authority = authority;
    this.roots = authority.roots.map(({ der }) => der);
  }

  static async start(
    t: TestContext,
    { authority, id = CONTROL_PLANE, signer }: { authority?: Authority; id?: string; signer?: Authority } = {},
  ): Promise<ScriptedAuthority> {
    const nowMs = Date.now();
    const made = new ScriptedAuthority(authority ?? (await Authority.createRoot("cluster.local", { nowMs })));
    const key = newWorkloadKey();
    const own = parseSpiffeId(id);
    assert.ok(own.ok);
    const issued = await (signer ?? made.#authority).issue(certificateRequest(key, own.value), own.value, { nowMs });
    assert.ok(issued.ok);
    const chain = issued.value.certificates.map((der) => new Certificate(der).pem).join("");
    made.#server.addService(
      { issue: byteMethod(ISSUE, false, false), watch: byteMethod(WATCH, false, true) },
      {
        issue: (call: ServerUnaryCall<Buffer, Buffer>, answer: (error: object | null, bytes?: Buffer) => void) =>
          void made.#issue(call, answer),
        watch: (call: ServerWritableStream<Buffer, Buffer>) => made.#watch(call),
      },
    );
    const credentials = new AskingCredentials(chain, privateKeyPem(key), made.#authority.rootsPem());
    made.port = await new Promise((resolve, reject) => {
      made.#server.bindAsync("127.0.0.1:0", credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    t.after(() => made.#server.forceShutdown());
    return made;
  }

  get rootsPem(): string {
    return this.#authority.rootsPem();
  }

  get watches(): number {
    return this.#watches.size;
  }

  tellBundles(): void {
    for (const watch of this.#watches)
      watch.write(Buffer.from(encodeMessage("heddle.identity.v1.TrustBundles", this.#bundles())));
  }

  #bundles() {
    return {
      bundles: [{ trust_domain: this.#authority.trustDomain, x509_authorities: this.roots, sequence_number: 1 }],
    };
  }

  #callerOf(call: Pick<ServerUnaryCall<Buffer, Buffer>, "metadata" | "getAuthContext">): string {
    const raw = call.getAuthContext().sslPeerCertificate?.raw;
    const id = raw === undefined ? undefined : readSvid(new Certificate(raw));
    return id?.ok === true ? `svid ${id.value.path}` : String(call.metadata.get("authorization")[0] ?? "nobody");
  }

  async #issue(
    call: ServerUnaryCall<Buffer, Buffer>,
    answer: (error: object | null, bytes?: Buffer) => void,
  ): Promise<void> {
    this.callers.push(this.#callerOf(call));
    if (this.refusal !== undefined) {
      answer({ code: this.refusal, details: "as told" });
      return;
    }
    const request = decodeMessage("heddle.identity.v1.IssueCertificateRequest", call.request);
    const id = parseSpiffeId(WEB);
    assert.ok(request.ok && id.ok);
    const options = { nowMs: Date.now(), validityMs: this.validityMs };
    const issued = await this.#authority.issue(bytesOf(request.value, "csr"), id.value, options);
    assert.ok(issued.ok, issued.ok ? "" : issued.error);
    const response = { certificates: [...issued.value.certificates, ...this.chainEnd], bundles: this.#bundles() };
    answer(null, Buffer.from(encodeMessage("heddle.identity.v1.IssueCertificateResponse", response)));
  }

  #watch(call: ServerWritableStream<Buffer, Buffer>): void {
    this.#watches.add(call);
    call.on("cancelled", () => this.#watches.delete(call));
    call.on("close", () => this.#watches.delete(call));
    call.write(Buffer.from(encodeMessage("heddle.identity.v1.TrustBundles", this.#bundles())));
  }
}

interface Opened {
  readonly identity: OwnIdentity;
  readonly secrets: Map<string, SecretConfig>;
  readonly renewed: () => number;
}

async function open(
  t: TestContext,
  port: number,
  { bundle, tokens = { joinToken: "hjt_one" }, keptIn }: { bundle: string; tokens?: CallerTokens; keptIn?: string },
): Promise<Opened> {
  const folder = temporaryFolder(t);
  const caBundle = join(folder, "ca.pem");
  writeFileSync(caBundle, bundle);
  const opened = await openIdentity({
    settings: {
      source: { type: "authority", caBundle, address: undefined, tokens, keptIn, renewAtPercent: undefined },
      serveAt: undefined,
    },
    controlPlane: `127.0.0.1:${port}`,
    secretType: makeSecretType(systemDataReader({})),
    clock: systemClock,
    log: quietLog,
    random: () => 0.01,
  });
  assert.ok(opened.ok, opened.ok ? "" : opened.error);
  const secrets = new Map<string, SecretConfig>();
  let renewed = 0;
  const listener: IdentityListener = {
    onSecret: (secret) => secrets.set(secret.name, secret),
    onWithdrawn: (name) => secrets.delete(name),
    onRenewed: () => {
      renewed += 1;
    },
  };
  t.after(() => opened.value.close());
  opened.value.start(listener);
  return { identity: opened.value, secrets, renewed: () => renewed };
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-identity-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("joins by a token over one-way TLS, and has the secrets default and ROOTCA", async (t) => {
  const authority = await ScriptedAuthority.start(t);
  const { identity, secrets, renewed } = await open(t, authority.port, { bundle: authority.rootsPem });
  assert.throws(() => identity.security(), DialTooEarly, "which is no fault of anybody");
  await eventually(() => renewed() === 1);
  assert.equal(identity.current.svid?.id, WEB);
  assert.deepEqual(authority.callers, ["Bearer hjt_one"]);
  const certificate = secrets.get("default");
  assert.ok(certificate?.type === "certificate");
  createSecureContext({
    cert: certificate.certificate.certificateChain.content,
    key: certificate.certificate.privateKey.content,
  });
  const validation = secrets.get("ROOTCA");
  assert.ok(validation?.type === "validation");
  const domains = validation.validation.spiffe?.trustDomains;
  assert.deepEqual(
    domains?.map(({ name, bundle }) => [name, bundle.content]),
    [["cluster.local", authority.rootsPem]],
  );
  assert.equal(identity.secret("default"), certificate);
  assert.doesNotMatch(JSON.stringify(identity.inspect()), /PRIVATE|hjt_/);
  assert.match(JSON.stringify(identity.inspect()), /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web/);
});

test("renews by the certificate that it has, before half of a short life is over", async (t) => {
  const authority = await ScriptedAuthority.start(t);
  authority.validityMs = 5000; // of which a busy machine may lose two
  const { renewed } = await open(t, authority.port, { bundle: authority.rootsPem });
  await eventually(() => renewed() >= 3);
  assert.deepEqual(authority.callers.slice(0, 3), ["Bearer hjt_one", "svid /ns/shop/sa/web", "svid /ns/shop/sa/web"]);
});

test("follows the bundles on the connection of the control plane, and takes up a root that is added", async (t) => {
  const authority = await ScriptedAuthority.start(t);
  const { identity, secrets, renewed } = await open(t, authority.port, { bundle: authority.rootsPem });
  await eventually(() => renewed() === 1);
  const channel = xdsDial(`127.0.0.1:${authority.port}`, {
    security: () => identity.security(),
    serverName: "control-plane",
  })();
  t.after(() => channel.close());
  identity.connected(channel);
  await eventually(() => authority.watches === 1);
  const before = secrets.get("ROOTCA");
  const next = await Authority.createRoot("cluster.local", { nowMs: Date.now() });
  authority.roots = [...authority.roots, ...next.roots.map(({ der }) => der)];
  authority.tellBundles();
  await eventually(() => identity.current.bundles[0]?.x509Authorities.length === 2);
  assert.notEqual(secrets.get("ROOTCA"), before);
  identity.close();
  await eventually(() => authority.watches === 0);
});

test("an authority whose answers OpenSSL could not show is not believed, and harms nothing", async (t) => {
  const authority = await ScriptedAuthority.start(t);
  authority.chainEnd = [Buffer.from("no certificate")];
  const { identity, renewed } = await open(t, authority.port, { bundle: authority.rootsPem });
  await eventually(() => identity.state.failures > 0);
  assert.match(identity.state.lastError, /of no use: it has a certificate that cannot be read/);
  authority.chainEnd = Array.from({ length: 10 }, () => authority.roots[0]!);
  await eventually(() => /more than 10 certificates/.test(identity.state.lastError));
  authority.chainEnd = [];
  await eventually(() => renewed() === 1);
});

test("a trust bundle of too many certificates, or of one that OpenSSL cannot read, leaves those from before", async (t) => {
  const authority = await ScriptedAuthority.start(t);
  const { identity, renewed } = await open(t, authority.port, { bundle: authority.rootsPem });
  await eventually(() => renewed() === 1);
  const channel = xdsDial(`127.0.0.1:${authority.port}`, {
    security: () => identity.security(),
    serverName: "control-plane",
  })();
  t.after(() => channel.close());
  identity.connected(channel);
  await eventually(() => authority.watches === 1);
  const [good] = authority.roots;
  const { bundles } = identity.current;
  authority.roots = Array.from({ length: 257 }, () => good!);
  authority.tellBundles();
  authority.roots = [good!, unreadableByOpenSsl(good!)];
  authority.tellBundles();
  const next = await Authority.createRoot("cluster.local", { nowMs: Date.now() });
  authority.roots = [good!, ...next.roots.map(({ der }) => der)];
  assert.equal(identity.current.bundles, bundles);
  authority.tellBundles();
  await eventually(() => identity.current.bundles[0]?.x509Authorities.length === 2);
});

/** Its key is on no curve that there is. */
function unreadableByOpenSsl(der: Uint8Array): Uint8Array {
  const curve = Buffer.from("2a8648ce3d030107", "hex"); // prime256v1
  const bytes = Buffer.from(der);
  bytes[bytes.indexOf(curve) - 1] = 0x07; // the length of its name
  return bytes;
}

for (const [what, make] of [
  [
    "of another authority",
    async () => ({ signer: await Authority.createRoot("cluster.local", { nowMs: Date.now() }) }),
  ],
  ["that is a workload's", async () => ({ id: WEB })],
  [
    "of another trust domain",
    async () => ({
      signer: await Authority.createRoot("evil.example", { nowMs: Date.now() }),
      id: "spiffe://evil.example/ns/heddle-system/sa/control-plane",
    }),
  ],
] as const) {
  test(`a control plane with a certificate ${what} gets no token`, async (t) => {
    const authority = await ScriptedAuthority.start(t, await make());
    const { identity } = await open(t, authority.port, { bundle: authority.rootsPem });
    await eventually(() => identity.state.failures > 1);
    assert.match(identity.state.lastError, /not our control plane/);
    assert.deepEqual(authority.callers, []);
  });
}

test("a token file is read anew for each attempt, as Kubernetes rewrites it", async (t) => {
  const authority = await ScriptedAuthority.start(t);
  const file = join(temporaryFolder(t), "token");
  writeFileSync(file, "first.token\n");
  authority.refusal = status.UNAUTHENTICATED;
  const tokens = { serviceAccountTokenFile: file };
  const { identity, renewed } = await open(t, authority.port, { bundle: authority.rootsPem, tokens });
  await eventually(() => identity.state.failures > 0);
  assert.match(identity.state.lastError, /as told \(UNAUTHENTICATED\)/);
  writeFileSync(file, "second.token\n");
  authority.refusal = undefined;
  await eventually(() => renewed() === 1);
  assert.equal(authority.callers[0], "Bearer first.token");
  assert.equal(authority.callers.at(-1), "Bearer second.token");
});

test("what is no bundle, or lies nowhere, keeps a sidecar from starting, with the reason", async (t) => {
  const folder = temporaryFolder(t);
  const attempt = async (caBundle: string): Promise<string> => {
    const source = {
      type: "authority",
      caBundle,
      address: undefined,
      tokens: {},
      keptIn: undefined,
      renewAtPercent: undefined,
    } as const;
    const opened = await openIdentity({
      settings: { source, serveAt: undefined },
      controlPlane: "127.0.0.1:1",
      secretType: makeSecretType(),
      clock: systemClock,
      log: quietLog,
      random: Math.random,
    });
    return opened.ok ? "" : opened.error;
  };
  assert.match(await attempt(join(folder, "none.pem")), /cannot be read \(ENOENT\)/);
  writeFileSync(join(folder, "empty.pem"), "");
  assert.match(await attempt(join(folder, "empty.pem")), /holds no certificate/);
});
