import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestAuthority } from "@heddle/identity/testing";
import { startInjector } from "../harness/injector-process.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* curl and openssl in the place of an API server: what a client that is not Node sees of the webhooks. */

const CLIENTS = new TestAuthority("API servers");

const missing = ["curl", "openssl"].filter((name) => spawnSync(name, ["--version"]).error !== undefined);

describe("webhooks by curl and openssl", { skip: missing.length > 0 && `${missing.join(", ")} missing` }, () => {
  const owner = lastFirst({ after });
  let injector: Awaited<ReturnType<typeof startInjector>>;
  let folder = "";
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  before(async () => {
    folder = scratchFolder(owner);
    const { chain, key } = CLIENTS.issue({ commonName: "kube-apiserver", usage: "client" });
    file("client.crt", chain);
    file("client.key", key);
    file("review.json", REVIEW);
    const clientCa = file("clients.crt", CLIENTS.certificate);
    injector = await startInjector(owner, { flags: ["--webhook-client-ca", clientCa] });
  });

  /** What is printed is the body, then status and version in a line of their own. */
  const curl = (path: string, ...flags: readonly string[]) => {
    const format = "\n%{http_code} %{http_version}";
    const url = `https://127.0.0.1:${injector.port}${path}`;
    const ran = spawnSync("curl", ["-sS", "--cacert", injector.caFile, "-w", format, ...flags, url], {
      timeout: 60_000,
    });
    const text = ran.stdout.toString();
    const cut = text.lastIndexOf("\n");
    const [status = "", version = ""] = text.slice(cut + 1).split(" ");
    return { body: text.slice(0, cut), status: Number(status), version, error: ran.stderr.toString() };
  };
  const known = (): readonly string[] => ["--cert", join(folder, "client.crt"), "--key", join(folder, "client.key")];
  const review = (): readonly string[] => [...JSON_TYPE, "--data-binary", `@${join(folder, "review.json")}`];

  it("a review of who has a certificate is answered, by HTTP/1.1 also where HTTP/2 is offered", () => {
    const { body, status, version, error } = curl("/inject?timeout=10s", "--http2", ...known(), ...review());
    assert.deepEqual([status, version, error], [200, "1.1", ""]);
    const { response } = JSON.parse(body) as { response: { uid: string; patchType: string } };
    assert.deepEqual([response.uid, response.patchType], ["u-1", "JSONPatch"]);
  });

  it("who has none, or another authority's, is refused; probes are for everybody", () => {
    assert.equal(curl("/inject", ...review()).status, 403);
    const { chain, key } = new TestAuthority("Others").issue({ commonName: "kube-apiserver", usage: "client" });
    const strange = ["--cert", file("other.crt", chain), "--key", file("other.key", key)];
    assert.equal(curl("/inject", ...strange, ...review()).status, 403);
    assert.deepEqual([curl("/healthz").body, curl("/readyz").body], ["ok", "ok"]);
  });

  it("what is too large is refused before it is sent, where the client asks first", () => {
    const large = file("large.json", `{"a":"${"x".repeat(4 * 1024 * 1024)}"}`);
    const { status } = curl(
      "/inject",
      ...known(),
      ...JSON_TYPE,
      "-H",
      "expect: 100-continue",
      "--data-binary",
      `@${large}`,
    );
    assert.equal(status, 413);
  });

  it("other content types, methods and paths have their status", () => {
    const yaml = ["-H", "content-type: application/yaml", "--data-binary", "a: b"];
    assert.equal(curl("/inject", ...known(), ...yaml).status, 415);
    assert.equal(curl("/inject", ...known(), "-X", "DELETE").status, 405);
    assert.equal(curl("/", ...known(), ...review()).status, 404);
  });

  it("TLS 1.1 is not spoken, and no session is resumed", () => {
    const openssl = (...flags: readonly string[]): string => {
      const address = `127.0.0.1:${injector.port}`;
      const ran = spawnSync("openssl", ["s_client", "-connect", address, ...flags], { input: "", timeout: 60_000 });
      return ran.stdout.toString() + ran.stderr.toString();
    };
    assert.match(
      openssl("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"),
      /alert protocol version|no protocols available|unsupported protocol/,
    );
    const again = openssl("-tls1_2", "-reconnect", "-CAfile", injector.caFile);
    assert.match(again, /^New, TLSv1\.2/m);
    assert.doesNotMatch(again, /^Reused/m);
  });
});

const JSON_TYPE = ["-H", "content-type: application/json"];

const REVIEW = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "u-1",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    namespace: "shop",
    operation: "CREATE",
    object: { metadata: { generateName: "web-" }, spec: { containers: [{ name: "app", image: "app:1" }] } },
  },
});
