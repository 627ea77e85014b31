import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { TestAuthority } from "@heddle/net/testing";
import { makeResourceTypes } from "@heddle/xds";
import { quietLog } from "@heddle/xds/testing";
import { type ApiOptions, ResourceApi } from "./open-api.ts";
import { ApiFixture } from "./testing.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const OPEN: ApiOptions = { address: LOOPBACK, isAsked: true, tokensFile: undefined, tls: undefined };

test("without tokens and TLS the API is on loopback alone", async (t) => {
  const { open, files } = await prepare(t);
  await open(OPEN);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.com"])
    for (const more of [{}, { tokensFile: files.tokens }])
      await assert.rejects(
        open({ ...OPEN, ...more, address: { host, port: 0 } }),
        /is not loopback; there it takes --api-tokens/,
      );
});

test("a port that is taken is an error where it was asked for, and left out where it was not", async (t) => {
  const { open } = await prepare(t);
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  t.after(() => other.close());
  const address = { host: "127.0.0.1", port: (other.address() as { port: number }).port };
  await assert.rejects(open({ ...OPEN, address }), /resource API: 127\.0\.0\.1:\d+ is taken .* --api-address/);
  assert.equal((await open({ ...OPEN, address, isAsked: false })).address, undefined);
});

test("a file of tokens or of TLS that is wrong is told before anything listens, and no key is in it", async (t) => {
  const { open, files } = await prepare(t);
  await writeFile(files.tokens, "- { name: a, sha256: x, role: read }");
  await assert.rejects(open({ ...OPEN, tokensFile: files.tokens }), /tokens\.yaml:1:14: \[0\]\.sha256: allowed/);
  await assert.rejects(open({ ...OPEN, tokensFile: "/nowhere" }), /\/nowhere: cannot be read: ENOENT/);
  const tls = { certificateFile: files.certificate, keyFile: files.tokens };
  await assert.rejects(open({ ...OPEN, tls }), /cannot be used/);
});

test("with TLS it is HTTPS, and takes another certificate without a restart", async (t) => {
  const { api, open, files } = await prepare(t);
  const tls = { certificateFile: files.certificate, keyFile: files.key };
  const { address } = await open({ ...OPEN, tls });
  assert.ok(address);
  const serial = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const call = request(
        { ...address, path: "/v1/resources", rejectUnauthorized: false, agent: false },
        (response) => {
          response.resume();
          assert.equal(response.statusCode, 200);
          resolve((response.socket as TLSSocket).getPeerCertificate().serialNumber);
        },
      );
      call.on("error", reject).end();
    });
  const before = await serial();
  await makeCertificate(files);
  let after = before;
  while (after === before) {
    api.clock.advance(10_000); // the files are looked at; the test's time limit ends it
    await new Promise((resolve) => setImmediate(resolve));
    after = await serial();
  }
});

interface Files {
  readonly tokens: string;
  readonly certificate: string;
  readonly key: string;
}

async function prepare(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "heddle-api-"));
  t.after(() => rm(folder, { recursive: true }));
  const files = { tokens: join(folder, "tokens.yaml"), certificate: join(folder, "c.pem"), key: join(folder, "k.pem") };
  await writeFile(files.tokens, "[]");
  await makeCertificate(files);
  assert.match(await readFile(files.key, "utf8"), /PRIVATE KEY/);
  const api = await new ApiFixture().start();
  const { store, stored, sources, clock } = api;
  const open = async (options: ApiOptions): Promise<ResourceApi> => {
    const types = makeResourceTypes({ httpFilters: "unchecked" });
    const opened = await ResourceApi.open(options, { store, stored, sources, types, clock, log: quietLog });
    t.after(() => opened.close());
    return opened;
  };
  return { api, open, files };
}

async function makeCertificate({ certificate, key }: Files): Promise<void> {
  const made = new TestAuthority().issue({ dns: ["localhost"] });
  await writeFile(certificate, made.certificate);
  await writeFile(key, made.key);
}
