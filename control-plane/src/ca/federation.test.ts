import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import { formatTrustBundle, parseTrustBundle, type TrustBundle, trustBundlePem } from "@heddle/identity";
import { Authority } from "@heddle/identity/ca";
import { TestAuthority } from "@heddle/net/testing";
import { eventually } from "@heddle/xds/testing";
import { valueOfResult } from "../api/testing.ts";
import { formatHostPort } from "../serve/address.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { Store } from "../store/store.ts";
import { type FederatedDomain, Federation } from "./federation.ts";
import { openTestCa, TestCounters, TestLog, TRUST_DOMAIN } from "./testing.ts";

const OTHER = "example.org";

test("two meshes know each other by https_spiffe, and follow each other's roots", async (t) => {
  const theirs = await openTestCa(t, {
    clock: systemClock,
    options: {
      trustDomain: OTHER,
      bundleEndpoint: { address: { host: "127.0.0.1", port: 0 }, certificate: undefined },
    },
  });
  const bundleFile = join(folderOf(t), "first.pem");
  writeFileSync(bundleFile, theirs.ca.bundleText("pem") ?? "");
  const clock = new ManualClock(systemClock.wallNow());
  const ours = await openTestCa(t, {
    clock,
    options: {
      federated: [
        {
          trustDomain: OTHER,
          url: `https://${formatHostPort(theirs.ca.bundleEndpointAddress!)}/`,
          caFile: undefined,
          spiffe: { id: { trustDomain: OTHER, path: "/ns/heddle-system/sa/control-plane" }, bundleFile },
        },
      ],
    },
  });
  const known = (): readonly (readonly [string, number, number])[] =>
    ours.ca.authority.bundles.current.all.map(({ trustDomain, x509Authorities, sequenceNumber }) => [
      trustDomain,
      x509Authorities.length,
      sequenceNumber,
    ]);
  await eventually(() => known()[1]?.[2] === 1, "their first bundle");
  assert.deepEqual(known(), [
    [TRUST_DOMAIN, 1, 1],
    [OTHER, 1, 1],
  ]);
  for (const [step, roots, sequence] of [
    ["begin", 2, 2],
    ["hurry", 2, 2], // the new root signs, so the endpoint's own certificate is of that one
    ["hurry", 1, 3],
  ] as const) {
    valueOfResult(await (step === "begin" ? theirs.ca.stored!.beginRotation() : theirs.ca.stored!.hurryRotation()));
    const fetched = (): string => JSON.stringify(ours.ca.inspect());
    const before = fetched();
    clock.advance(300_000);
    await eventually(() => fetched() !== before, `their bundle after ${step}`);
    assert.deepEqual(known()[1], [OTHER, roots, sequence]);
  }
});

test("an endpoint of another identity, or of another authority, is not believed", async (t) => {
  for (const [path, isOurs] of [
    ["/ns/shop/sa/web", true],
    ["/ns/heddle-system/sa/control-plane", false],
  ] as const) {
    const theirs = await openTestCa(t, {
      clock: systemClock,
      options: {
        trustDomain: OTHER,
        bundleEndpoint: { address: { host: "127.0.0.1", port: 0 }, certificate: undefined },
      },
    });
    const bundleFile = join(folderOf(t), "first.json");
    const stranger = await Authority.createRoot(OTHER, { nowMs: systemClock.wallNow() });
    writeFileSync(bundleFile, isOurs ? (theirs.ca.bundleText("spiffe") ?? "") : stranger.rootsPem());
    const url = `https://${formatHostPort(theirs.ca.bundleEndpointAddress!)}/`;
    const followed = await follow(t, {
      trustDomain: OTHER,
      url,
      caFile: undefined,
      spiffe: { id: { trustDomain: OTHER, path }, bundleFile },
    });
    await eventually(() => followed.log.with("could not be fetched").length === 1, "the refusal");
    assert.equal(followed.federation.bundles.current.length, 1, "the first bundle stays");
  }
});

test("https_web: a bundle is fetched as often as it asks for, and what is wrong changes nothing", async (t) => {
  const bundle = await bundleOf(7, 60);
  let answer: (response: ServerResponse) => unknown = (response) => response.end(formatTrustBundle(bundle));
  const web = await webServer(t, (response) => answer(response));
  const { federation, clock, log, store } = await follow(t, web.domain);
  const sequence = (): number | undefined => federation.bundles.current[0]?.sequenceNumber;
  await eventually(() => sequence() === 7, "the first bundle");

  let asked = web.asked();
  for (const [what, next] of [
    ["an old one", async (response) => response.end(formatTrustBundle(await bundleOf(6, 60)))],
    ["no JSON", (response) => response.end("<html>")],
    ["no certificate", (response) => response.end('{"keys":[{"use":"x509-svid","kty":"EC","x5c":["AAAA"]}]}')],
    ["too much", (response) => response.end(Buffer.alloc(1_100_000, " "))],
    ["an error", (response) => response.writeHead(500).end(formatTrustBundle(bundle))],
    ["a redirect", (response) => response.writeHead(302, { location: "https://127.0.0.1:1/" }).end()],
    ["nothing", (response) => response.destroy()],
  ] as readonly (readonly [string, (response: ServerResponse) => unknown])[]) {
    answer = next;
    const faults = log.with("could not be fetched").length;
    clock.advance(600_000); // longer than any wait
    await eventually(() => log.with("could not be fetched").length > faults, `the refusal of ${what}`);
    assert.equal(sequence(), 7);
    assert.ok(web.asked() > asked);
    asked = web.asked();
  }
  answer = async (response) => response.end(formatTrustBundle(await bundleOf(8, 60)));
  clock.advance(600_000);
  await eventually(() => sequence() === 8, "the next bundle");
  await federation.close();
  assert.equal(clock.pending, 0);

  web.close();
  const again = await follow(t, web.domain, store);
  assert.equal(again.federation.bundles.current[0]?.sequenceNumber, 8, "the last good one outlives the process");
});

test("https_web: an endpoint that nobody we know has vouched for is not asked", async (t) => {
  const web = await webServer(t, (response) => response.end("{}"));
  const caFile = join(folderOf(t), "other.pem");
  writeFileSync(caFile, new TestAuthority("another").certificate);
  const { federation, log } = await follow(t, { ...web.domain, caFile });
  await eventually(() => log.with("could not be fetched").length === 1, "the refusal");
  assert.deepEqual([federation.bundles.current, web.asked()], [[], 0]);
});

test("the bundle endpoint shows our bundle in SPIFFE's format to whoever asks, and takes nothing", async (t) => {
  const authority = new TestAuthority("web");
  const folder = folderOf(t);
  const { certificate, key } = authority.issue({ dns: ["localhost"], ips: ["127.0.0.1"], usage: "server" });
  const files = { certificateFile: join(folder, "web.pem"), keyFile: join(folder, "web.key") };
  writeFileSync(files.certificateFile, certificate);
  writeFileSync(files.keyFile, key);
  const made = await openTestCa(t, {
    clock: systemClock,
    options: { bundleEndpoint: { address: { host: "127.0.0.1", port: 0 }, certificate: files } },
  });
  const { Agent, request } = await import("undici");
  const agent = new Agent({ connect: { ca: authority.certificate } });
  t.after(() => agent.destroy());
  const url = `https://${formatHostPort(made.ca.bundleEndpointAddress!)}/`;
  const response = await request(url, { dispatcher: agent });
  assert.deepEqual([response.statusCode, response.headers["content-type"]], [200, "application/json"]);
  const bundle = valueOfResult(parseTrustBundle(TRUST_DOMAIN, await response.body.text()));
  assert.equal(trustBundlePem(bundle), made.ca.bundleText("pem"));
  const posted = await request(url, { dispatcher: agent, method: "POST", body: "{}" });
  assert.equal(posted.statusCode, 405);
  await posted.body.dump();
});

async function follow(t: TestContext, domain: FederatedDomain, store?: Store) {
  const clock = new ManualClock(systemClock.wallNow());
  const [log, counters, own] = [new TestLog(), new TestCounters(), store ?? new MemoryStore()];
  if (store === undefined) await own.start();
  const federation = await Federation.open({
    domains: [domain],
    store: own,
    clock,
    log: log.log,
    metrics: counters.scope(),
    random: () => 0.5,
  });
  t.after(() => federation.close());
  return { federation, clock, log, store: own };
}

async function bundleOf(sequenceNumber: number, refreshHintSeconds: number): Promise<TrustBundle> {
  const root = await Authority.createRoot(OTHER, { nowMs: systemClock.wallNow() });
  return {
    trustDomain: OTHER,
    x509Authorities: [root.certificate.der],
    jwtAuthorities: [],
    sequenceNumber,
    refreshHintSeconds,
  };
}

async function webServer(t: TestContext, answer: (response: ServerResponse) => unknown) {
  const authority = new TestAuthority("web");
  const { certificate, key } = authority.issue({ ips: ["127.0.0.1"], usage: "server" });
  const caFile = join(folderOf(t), "web.pem");
  writeFileSync(caFile, authority.certificate);
  let asked = 0;
  const server = createServer({ cert: certificate, key }, (_request, response) => {
    asked += 1;
    void answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  t.after(close);
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { domain: { trustDomain: OTHER, url, caFile, spiffe: undefined }, asked: () => asked, close };
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-federation-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
