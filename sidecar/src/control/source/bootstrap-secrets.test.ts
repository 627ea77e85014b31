import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestAuthority } from "@heddle/net/testing";
import { type ClusterConfig, type SecretReference, secretKey } from "@heddle/traffic";
import { makeSecretType, systemDataReader } from "@heddle/xds";
import { bootstrapSecrets } from "./bootstrap-secrets.ts";

const authority = new TestAuthority();
const SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

test("a control plane is dialled with secrets of the bootstrap and of files, which are read each time", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "secrets-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "sds.json");
  const put = (name: string, trusted_ca: object): void => {
    const resources = [{ "@type": SECRET, name, validation_context: { trusted_ca } }];
    writeFileSync(path, JSON.stringify({ resources }));
  };
  const sds: SecretReference = {
    from: "sds",
    name: "ca",
    source: { from: { type: "file", path }, initialFetchTimeoutMs: 0 },
  };
  const byAds: SecretReference = { from: "sds", name: "later" };
  const clusters = [sds, byAds].map((validationSecret) => ({ tls: { common: { validationSecret } } }));
  const lookup = bootstrapSecrets(
    {
      secrets: [{ type: "generic", name: "ca", secret: undefined }],
      clusters: clusters as unknown as readonly ClusterConfig[],
    },
    makeSecretType(systemDataReader({})),
  );
  assert.equal(lookup(secretKey({ from: "static", name: "ca" }))?.type, "generic");
  assert.equal(lookup(secretKey(byAds)), undefined);
  assert.throws(() => lookup(secretKey(sds)), /sds\.json: cannot be read/);
  put("ca", { inline_string: authority.certificate });
  assert.equal(lookup(secretKey(sds))?.type, "validation");
  put("other", { inline_string: authority.certificate });
  assert.equal(lookup(secretKey(sds)), undefined);
  put("ca", { inline_string: "no certificate" });
  assert.throws(() => lookup(secretKey(sds)), /trusted_ca: holds no certificate in PEM/);
});
