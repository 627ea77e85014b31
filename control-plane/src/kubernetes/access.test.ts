import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ManualClock } from "@heddle/base";
import { inClusterAccess } from "./in-cluster.ts";
import { kubeconfigAccess } from "./kubeconfig.ts";
import { LineReader } from "./line-reader.ts";

describe("how to get to a cluster", () => {
  let folder = "";
  const clock = new ManualClock();
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "heddle-access-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const put = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const kubeconfig = (
    cluster: string,
    user: string,
    context = "",
  ): Promise<Awaited<ReturnType<typeof kubeconfigAccess>>> => {
    const file = put(
      "config",
      `
apiVersion: v1
kind: Config
current-context: a
clusters: [{ name: c, cluster: { ${cluster} } }]
users: [{ name: u, user: { ${user} } }]
contexts: [{ name: a, context: { cluster: c, user: u ${context} } }, { name: b, context: { cluster: d, user: u } }]
`,
    );
    return kubeconfigAccess({ file, context: undefined, clock });
  };

  it("from within a pod: by its service account, whose token is read anew when it is replaced", async () => {
    put("token", "one\n");
    put("ca.crt", "CA");
    put("namespace", "mesh\n");
    const environment = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    const access = await inClusterAccess({ environment, clock, folder });
    assert.deepEqual([access.server, access.namespace], ["https://[fd00::1]:6443", "mesh"]);
    const token = async () => (await access.credentials()).headers["authorization"];
    assert.equal(await token(), "Bearer one");
    put("token", "two");
    assert.equal(await token(), "Bearer one");
    clock.advance(10_000);
    assert.equal(await token(), "Bearer two");
    put("token", "three");
    access.forget();
    assert.equal(await token(), "Bearer three");
    assert.equal((await access.credentials()).ca, "CA");
  });

  it("that this is no pod, or one without a service account, is told", async () => {
    await assert.rejects(inClusterAccess({ environment: {}, clock, folder }), /this is no pod .*--kubeconfig FILE/);
    const environment = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
    await assert.rejects(
      inClusterAccess({ environment, clock, folder }),
      /service account in .* cannot be read: ENOENT/,
    );
  });

  it("by a kubeconfig: what stands in it, and files beside it, which are read anew", async () => {
    put("ca.pem", "CA");
    const token = put("token", "one\n");
    const access = await kubeconfig(
      'server: "https://k.example:6443/base/", certificate-authority: ca.pem, tls-server-name: k',
      "tokenFile: token, client-certificate-data: Q0VSVA==, client-key-data: S0VZ",
      ", namespace: ops",
    );
    assert.deepEqual([access.server, access.namespace], ["https://k.example:6443/base", "ops"]);
    assert.deepEqual(await access.credentials(), {
      ca: "CA",
      certificate: "CERT",
      key: "KEY",
      serverName: "k",
      headers: { authorization: "Bearer one" },
    });
    writeFileSync(token, "two");
    clock.advance(10_000);
    assert.equal((await access.credentials()).headers["authorization"], "Bearer two");
  });

  it("by a kubeconfig: a token, a password, whom to be", async () => {
    const headers = async (user: string) =>
      (await (await kubeconfig("server: http://127.0.0.1:80", user)).credentials()).headers;
    assert.deepEqual(await headers("token: t, as: ops"), { authorization: "Bearer t", "impersonate-user": "ops" });
    assert.deepEqual(await headers("username: a, password: b"), { authorization: "Basic YTpi" });
    assert.deepEqual(await headers(""), {});
  });

  it("an API server that could be somebody else is refused, and what is missing is named", async () => {
    for (const [cluster, user, expected] of [
      [
        "server: https://a, insecure-skip-tls-verify: true",
        "",
        /insecure-skip-tls-verify: the API server is always verified/,
      ],
      ["server: http://k.example", "", /server: another machine is spoken to over TLS alone/],
      ["server: ftp://a", "", /server: found "ftp:\/\/a"/],
      ["server: https://a, proxy-url: http://p", "", /proxy-url: is not supported/],
      ["server: https://a, certificate-authority: gone.pem", "", /gone\.pem cannot be read: ENOENT/],
      ["server: https://a, certificate-authority-data: '{'", "", /certificate-authority-data: is no base64/],
    ] as const)
      await assert.rejects(kubeconfig(cluster, user), expected);
    await assert.rejects(
      kubeconfigAccess({ file: join(folder, "config"), context: "b", clock }),
      /clusters: has no cluster "d"/,
    );
    await assert.rejects(
      kubeconfigAccess({ file: join(folder, "config"), context: "z", clock }),
      /contexts: has no context "z"/,
    );
    const secret = put("bad", "users: [{ token: s3cret\n");
    await assert.rejects(kubeconfigAccess({ file: secret, context: undefined, clock }), (error: Error) => {
      assert.match(error.message, /is no YAML/);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    });
  });
});

it("lines are the same however their bytes come, and have a limit", () => {
  const text = '{"a":"ä"}\n\n{"b":"💡"}\nrest';
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size += 1) {
    const lines: string[] = [];
    const reader = new LineReader(100, (line) => lines.push(line));
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
    reader.end();
    assert.deepEqual(lines, ['{"a":"ä"}', '{"b":"💡"}', "rest"]);
  }
  const short = new LineReader(10, () => {});
  assert.throws(() => {
    for (let part = 0; part < 3; part += 1) short.push(Buffer.from("12345"));
  }, /a line of more than 10 bytes/);
});
