import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxyConfig } from "@heddle/config";
import { TestAuthority } from "@heddle/net/testing";
import type { CommonTlsConfig, DataConfig, SecretConfig } from "@heddle/traffic";
import { CertificatesInUse } from "./certificates-in-use.ts";

const NOW = Date.UTC(2030, 0, 10);
const DAY_MS = 24 * 60 * 60 * 1000;
const authority = new TestAuthority("Root");
const middle = new TestAuthority("Middle", authority);
const leaf = middle.issue({
  commonName: "shop",
  dns: ["shop.example", "*.shop.example"],
  uris: ["spiffe://example/shop"],
  emails: ["shop@example.com"],
  ips: ["10.0.0.1"],
  validFrom: new Date(NOW - DAY_MS),
  validTo: new Date(NOW + 3.5 * DAY_MS),
});

function common(certificates: readonly DataConfig[], trustedCa?: DataConfig): CommonTlsConfig {
  const key = inline(leaf.key);
  return {
    certificates: certificates.map((certificateChain) => ({ certificateChain, privateKey: key, password: key })),
    validation: trustedCa && { trustedCa },
  } as never;
}

function file(name: string, content: string): DataConfig {
  return { source: "filename", name, content };
}

function inline(content: string): DataConfig {
  return { source: "inline_string", name: "", content };
}

function inUse(
  listeners: readonly object[],
  clusters: readonly object[],
  nowMs = NOW,
  secrets: ReadonlyMap<string, SecretConfig> = new Map(),
): CertificatesInUse {
  const config = {
    listeners: new Map(listeners.map((listener, index) => [String(index), listener])),
    clusters: new Map(clusters.map((cluster, index) => [String(index), cluster])),
    secrets,
  };
  return new CertificatesInUse(
    () => config as unknown as ProxyConfig,
    () => nowMs,
  );
}

interface Shown {
  readonly path: string;
  readonly serial_number: string;
}

async function shown(certificates: CertificatesInUse): Promise<{ ca_cert: Shown[]; cert_chain: Shown[] }[]> {
  const { body } = await certificates.page().answer(new URLSearchParams());
  assert.ok(typeof body === "string");
  assert.doesNotMatch(body, /KEY/);
  return JSON.parse(body).certificates;
}

test("certificates of a chain and of its authorities are shown as Envoy shows them", async () => {
  const tls = { common: common([file("/etc/shop.pem", leaf.key + leaf.chain)], inline(authority.certificate)) };
  const [entry, ...more] = await shown(inUse([{ filterChains: [{ tls }] }], []));
  assert.deepEqual(more, []);
  assert.deepEqual(entry?.cert_chain[0], {
    path: "/etc/shop.pem",
    serial_number: leaf.serialNumber,
    subject_alt_names: [
      { dns: "shop.example" },
      { dns: "*.shop.example" },
      { uri: "spiffe://example/shop" },
      { ip_address: "10.0.0.1" },
    ],
    days_until_expiration: "3",
    valid_from: "2030-01-09T00:00:00Z",
    expiration_time: "2030-01-13T12:00:00Z",
  });
  assert.deepEqual(
    entry?.cert_chain.map(({ path }) => path),
    ["/etc/shop.pem", "/etc/shop.pem"],
    "the certificate between it and its authority, too",
  );
  assert.deepEqual(
    entry?.ca_cert.map(({ path }) => path),
    ["<inline>"],
  );
});

test("every place that has TLS is looked at, and what is the same in many stands there once", async () => {
  const named = (name: string): object => ({ tls: { common: common([file(name, leaf.certificate)]) } });
  const certificates = inUse(
    [{ filterChains: [named("a"), named("b"), {}], defaultFilterChain: named("c") }, { filterChains: [named("a")] }],
    [named("b"), { ...named("d"), transportSocketMatches: [named("e"), {}] }, {}, { tls: { common: common([]) } }],
  );
  assert.deepEqual(
    (await shown(certificates)).map(({ cert_chain }) => cert_chain.map(({ path }) => path).join()).sort(),
    ["a", "b", "c", "d", "e"],
  );
});

test("the first certificate that expires is the one that counts, whichever of a chain it is", () => {
  const authorities = inline(authority.certificate); // of today, by the clock of this machine
  const chain = [file("shop", leaf.certificate)];
  const days = (tls: CommonTlsConfig, nowMs: number): number =>
    inUse([], [{ tls: { common: tls } }], nowMs).daysUntilFirstExpires();
  assert.equal(days(common(chain), NOW), 3);
  assert.equal(days(common(chain), NOW + 3.5 * DAY_MS - 1), 0);
  assert.equal(days(common(chain), NOW + 30 * DAY_MS), 0, "expired");
  assert.equal(days(common(chain, authorities), NOW + 300 * 365 * DAY_MS), 0);
  assert.ok(days(common([], authorities), 0) > days(common([], authorities), NOW - 4000 * DAY_MS));
  assert.equal(inUse([{ filterChains: [{}] }], [{}]).daysUntilFirstExpires(), 4_294_967_295, "none, in Envoy's words");
});

test("certificates of secrets are in use once they have come", async () => {
  const reference = { from: "sds", name: "shop" } as const;
  const tls = { common: { ...common([], inline(authority.certificate)), certificateSecrets: [reference] } };
  const [waiting] = await shown(inUse([{ filterChains: [{ tls }] }], []));
  assert.deepEqual([waiting?.ca_cert.length, waiting?.cert_chain.length], [1, 0]);
  const [certificate] = common([file("/etc/shop.pem", leaf.certificate)]).certificates;
  assert.ok(certificate);
  const secrets = new Map([["sds/shop", { type: "certificate", name: "shop", certificate } as const]]);
  const certificates = inUse([{ filterChains: [{ tls }] }], [], NOW, secrets);
  const [come] = await shown(certificates);
  assert.equal(come?.cert_chain[0]?.serial_number, leaf.serialNumber);
  assert.equal(
    inUse([], [{ tls: { common: { ...tls.common, validation: undefined } } }], NOW, secrets).daysUntilFirstExpires(),
    3,
  );
});
