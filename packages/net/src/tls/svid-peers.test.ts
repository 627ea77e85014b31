import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { systemClock } from "@heddle/base";
import { TrustBundles, trustBundleFromPem } from "@heddle/identity";
import { type CertificateWish, TestAuthority, type TestCertificate } from "@heddle/identity/testing";
import { assertNothingLeft } from "../testing-sockets.ts";
import type { HandshakeFailure } from "./handshake.ts";
import { ANYBODY } from "./peer-rules.ts";
import { SERVER_DEFAULTS, TestTlsListener } from "./testing-tls.ts";
import { TlsServer, type TlsServerSettings } from "./tls-server.ts";

/* Who is let in where certificates have to be SVIDs of trust domains that each have authorities of their own. */

const own = new TestAuthority("Own");
const partners = new TestAuthority("Partners");
const between = new TestAuthority("Between", partners);
const strangers = new TestAuthority("Strangers");
const server = own.issue({ uris: ["spiffe://own.example/ns/default/sa/server"] });
const HOUR_MS = 3_600_000;

afterEach(() => {
  TestTlsListener.closeAll();
  return assertNothingLeft();
});

function bundles(domains: Readonly<Record<string, string>>): TrustBundles {
  return new TrustBundles(
    Object.entries(domains).map(([name, pem]) => {
      const bundle = trustBundleFromPem(name, pem);
      assert.ok(bundle.ok);
      return bundle.value;
    }),
  );
}

/** As `serverTlsSettings` makes them. */
function believing(
  domains: Readonly<Record<string, string>>,
  more: Partial<TlsServerSettings> = {},
): TlsServerSettings {
  return {
    ...SERVER_DEFAULTS,
    certificates: [{ chain: server.chain, key: server.key, password: undefined }],
    authorities: { trusted: Object.values(domains).join(""), trustsSystem: false, revoked: undefined },
    rules: { ...ANYBODY, checksChain: true, trust: bundles(domains) },
    trustKey: JSON.stringify(domains),
    asksClient: true,
    requireClientCertificate: true,
    ...more,
  };
}

const OWN = { "own.example": own.certificate };
const BOTH = { ...OWN, "partner.example": partners.certificate };
const CLIENT = "spiffe://own.example/ns/default/sa/client";

/** Undefined: it was let in. */
async function outcome(settings: TlsServerSettings, shown: TestCertificate): Promise<HandshakeFailure | undefined> {
  const listener = await TestTlsListener.open(settings);
  const client = listener.connect({ cert: shown.chain, key: shown.key });
  client.write("let me in");
  await listener.until(() => listener.secured.length + listener.failures.length === 1);
  assert.equal(listener.secured[0]?.connection.tls?.peerVerified ?? true, true);
  client.destroy();
  return listener.failures[0];
}

for (const [name, wish, reason] of [
  ["X509-SVID §2: a certificate without a URI", { dns: ["client"] }, /no URI among its names/],
  ["X509-SVID §2: a certificate with two URIs", { uris: [CLIENT, `${CLIENT}2`] }, /more than one URI/],
  ["X509-SVID §2: a URI that is no SPIFFE ID", { uris: ["https://own.example/client"] }, /no SPIFFE ID/],
  ["SPIFFE-ID §2.2: a path with an empty segment", { uris: ["spiffe://own.example/ns//sa"] }, /no SPIFFE ID/],
  [
    "X509-SVID §4.1: a certificate that may sign others",
    { uris: [CLIENT], isAuthority: true },
    /signs others|INVALID_PURPOSE/,
  ],
  ["X509-SVID §4.3: a key that may sign certificates", { uris: [CLIENT], keyUsageBits: 0x84 }, /signs certificates/],
  [
    "X509-SVID §4.3: a key that may sign revocation lists",
    { uris: [CLIENT], keyUsageBits: 0x82 },
    /signs certificates/,
  ],
  [
    "X509-SVID §4.3: a key that is not for signatures",
    { uris: [CLIENT], keyUsageBits: 0x08 },
    /signatures|INVALID_PURPOSE/,
  ],
  ["CVE-2022-21657: a certificate for servers alone", { uris: [CLIENT], usage: "server" }, /INVALID_PURPOSE/],
  ["CVE-2025-66220: a NUL within a name", { uris: [`${CLIENT}\0.evil`] }, /cannot be read/],
  ["CVE-2026-47778: a NUL within a name beside the ID", { uris: [CLIENT], dns: ["client\0.evil"] }, /cannot be read/],
  ["CVE-2022-21656: the ID as a name of another kind", { dns: [CLIENT], emails: [CLIENT] }, /no URI among its names/],
  ["a trust domain that nobody speaks for", { uris: ["spiffe://else.example/client"] }, /not trusted here/],
  ["the trust domain itself, and no workload", { uris: ["spiffe://own.example"] }, /no workload/],
] as const satisfies readonly (readonly [string, CertificateWish, RegExp])[]) {
  test(`${name} is refused`, async () => {
    for (const domains of [OWN, BOTH]) {
      const failure = await outcome(believing(domains), own.issue(wish));
      assert.equal(failure?.fault, "chain");
      assert.match(failure.reason, reason);
    }
  });
}

test("X509-SVID §5: an SVID is let in, whatever else its certificate is named", async () => {
  const shown = own.issue({ uris: [CLIENT], dns: ["client.example"], usage: "both" });
  assert.equal(await outcome(believing(OWN), shown), undefined);
  assert.equal(await outcome(believing(BOTH), shown), undefined);
});

test("SPIFFE-TDB §5: an authority speaks for its own trust domain alone", async () => {
  const partner = "spiffe://partner.example/ns/default/sa/client";
  assert.equal(await outcome(believing(BOTH), partners.issue({ uris: [partner] })), undefined);
  // OpenSSL trusts both authorities, so it has nothing against these.
  for (const shown of [partners.issue({ uris: [CLIENT] }), own.issue({ uris: [partner] })]) {
    const failure = await outcome(believing(BOTH), shown);
    assert.equal(failure?.fault, "chain");
  }
});

test("an authority between the bundle's and the leaf speaks for that trust domain, too, and for no other", async () => {
  const shown = between.issue({ uris: ["spiffe://partner.example/ns/default/sa/client"] });
  assert.equal(await outcome(believing(BOTH), shown), undefined);
  assert.equal((await outcome(believing(BOTH), between.issue({ uris: [CLIENT] })))?.fault, "chain");
  // What leads to the authority has to be shown.
  assert.equal((await outcome(believing(BOTH), { ...shown, chain: shown.certificate }))?.fault, "chain");
});

test("a workload's certificate is no authority, even where a bundle says so", async () => {
  const shown = strangers.issue({ uris: [CLIENT] });
  for (const domains of [{ "own.example": shown.certificate }, { ...BOTH, "own.example": shown.certificate }]) {
    assert.equal((await outcome(believing(domains), shown))?.fault, "chain");
  }
});

test("CVE-2022-21654: a session is not resumed once its authority has left the bundle of its trust domain", async () => {
  const ticketKeys = Buffer.alloc(48, 7); // the same for all servers here, so that nothing else stops a session
  const shown = own.issue({ uris: [CLIENT] });
  const listener = await TestTlsListener.open(believing(OWN, { ticketKeys }));
  const first = listener.connect({ cert: shown.chain, key: shown.key });
  const [[session]] = await Promise.all([once(first, "session"), listener.firstSecured()]);
  const again = async (domains: Readonly<Record<string, string>>): Promise<boolean | undefined> => {
    listener.server = new TlsServer(believing(domains, { ticketKeys }));
    const met = listener.secured.length + listener.failures.length;
    const client = listener.connect({ cert: shown.chain, key: shown.key, session });
    await listener.until(() => listener.secured.length + listener.failures.length > met);
    client.destroy();
    return listener.secured.slice(1).at(-1)?.connection.tls?.resumed;
  };
  assert.equal(await again(OWN), true);
  listener.secured.length = 1;
  assert.equal(await again({ "own.example": strangers.certificate }), undefined);
  // It speaks for another trust domain now.
  assert.equal(await again({ "own.example": strangers.certificate, "partner.example": own.certificate }), undefined);
  assert.equal(listener.failures.length, 2);
  assert.equal(await again({ "own.example": own.certificate + strangers.certificate }), false);
  first.destroy();
});

test("with several trust domains no session is resumed, since it does not know whose authority its client led to", async () => {
  const ticketKeys = Buffer.alloc(48, 7);
  const shown = between.issue({ uris: ["spiffe://partner.example/ns/default/sa/client"] });
  const listener = await TestTlsListener.open(believing(BOTH, { ticketKeys }));
  const connect = (session?: Buffer): ReturnType<TestTlsListener["connect"]> =>
    listener.connect({ cert: shown.chain, key: shown.key, maxVersion: "TLSv1.2", ...(session && { session }) });
  const first = connect();
  await listener.firstSecured();
  await once(first, "secureConnect").catch(() => undefined);
  connect(first.getSession());
  await listener.until(() => listener.secured.length === 2);
  assert.equal(listener.secured[1]?.connection.tls?.resumed, false);
});

test("an SVID that has expired, and one that is not valid yet, are refused", async () => {
  const now = systemClock.wallNow();
  for (const times of [{ validTo: new Date(now - HOUR_MS) }, { validFrom: new Date(now + HOUR_MS) }]) {
    for (const domains of [OWN, BOTH]) {
      assert.equal((await outcome(believing(domains), own.issue({ uris: [CLIENT], ...times })))?.fault, "chain");
    }
  }
});
