import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { JsonObject } from "@heddle/base";
import {
  CNI_NAME,
  DEFAULT_INSTALL_SETTINGS,
  installObjects,
  manifestText,
  uninstallObjects,
} from "@heddle/inject/install";
import { eventually } from "../harness/eventually.ts";
import { claimCluster, givenKubeconfig } from "../harness/given-kube-api-server.ts";
import { projectRoot } from "../harness/imports.ts";
import { goldens } from "../harness/injection-goldens.ts";
import { ownNamespace, uniqueName } from "../harness/kube/kube-requests.ts";
import { kubeconfigText } from "../harness/kube/kubeconfig.ts";
import { type Kubectl, kubectlOf, noKubectl } from "../harness/kubectl.ts";
import { lastFirst } from "../harness/owner.ts";
import {
  noRealKubeApiServer,
  type RealKubeApiServer,
  realKubeApiServer,
  startRealKubeApiServer,
} from "../harness/real-kube-api-server.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* A real kube-apiserver takes what `heddle install` prints and what injection makes, field by field. */

/** Manifests that are whole: an API server would take them before they are injected, too. */
const WHOLE =
  /^(pod|deployment-with-comments|statefulset.*|daemonset|replicaset|replication-controller|job|flow|json-pretty|crlf|nulls|plain-container|cni|template|lifecycle-and-sidecars|indented-sequences|capture-none)\./;

/** As docs/install.md has it made. */
function makeAuthority(folder: string): { readonly certificate: string; readonly key: string } {
  const [certificate, key] = [join(folder, "ca.crt"), join(folder, "ca.key")];
  const words =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /O=mesh -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectAltName=URI:spiffe://cluster.local";
  const made = spawnSync("openssl", [...words.split(" "), "-keyout", key, "-out", certificate], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return { certificate, key };
}

describe(realKubeApiServer, { skip: noRealKubeApiServer || noKubectl }, () => {
  const owner = lastFirst({ after });
  /** A cluster of others gets a revision of its own name, and nothing that would run on its nodes. */
  const isOthers = givenKubeconfig !== undefined;
  const systemNamespace = isOthers ? uniqueName("system") : DEFAULT_INSTALL_SETTINGS.injection.namespace;
  const settings = {
    ...DEFAULT_INSTALL_SETTINGS,
    tags: [isOthers ? uniqueName("tag") : "prod"],
    injection: {
      ...DEFAULT_INSTALL_SETTINGS.injection,
      cni: !isOthers,
      namespace: systemNamespace,
      ...(isOthers && { revision: uniqueName("r") }),
    },
  };
  const objects = installObjects(settings);
  const webhookNames = objects
    .filter(({ kind }) => (kind as string).endsWith("WebhookConfiguration"))
    .map(({ kind, metadata }) => `${(kind as string).toLowerCase()}/${(metadata as { name: string }).name}`);
  let server: RealKubeApiServer;
  let kubectl: Kubectl;
  let folder: string;
  let shop: string;
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  /** Whatever has failed before. */
  const removeAll = async (): Promise<void> => {
    const text = manifestText(ownObjects(uninstallObjects(settings, true)));
    await kubectl("delete", "--ignore-not-found", "--wait=false", "-f", file("remove.yaml", text));
  };
  /** The plugin of the nodes is one for all. */
  const ownObjects = (all: readonly JsonObject[]): readonly JsonObject[] =>
    isOthers ? all.filter(({ metadata }) => (metadata as { name: string }).name !== CNI_NAME) : all;
  const apply = (name: string, text: string, ...flags: string[]) =>
    kubectl("apply", "--server-side", "--validate=strict", ...flags, "-f", file(name, text));

  before(async () => {
    server = await startRealKubeApiServer(owner);
    if (isOthers) await claimCluster(owner, server);
    folder = scratchFolder(owner);
    shop = await ownNamespace(owner, server, "shop");
    kubectl = kubectlOf(server, folder, shop);
    if (isOthers) owner.after(removeAll);
  });

  test("takes everything that heddle install prints, without a field that it does not know", async () => {
    // No control plane runs here, whom the webhooks would ask.
    const withoutWebhooks = objects.filter(({ kind }) => !(kind as string).endsWith("WebhookConfiguration"));
    const { ok, output } = await apply("install.yaml", manifestText(withoutWebhooks));
    assert.ok(ok, output);
    assert.equal(output.match(/serverside-applied/g)?.length, withoutWebhooks.length);
    const webhooks = await apply("webhooks.yaml", manifestText(objects), "--dry-run=server");
    assert.ok(webhooks.ok, webhooks.output);
    await eventually("the kinds are served", async () => (await kubectl("get", "workloads,hap,hpa,hra", "-A")).ok);
  });

  test("refuses objects of our kinds that our readers refuse, and takes those that they take", async () => {
    const object = (kind: string, spec: object): JsonObject =>
      ({ apiVersion: "heddle.dev/v1", kind, metadata: { name: "x", namespace: shop }, spec }) as JsonObject;
    const judge = (kind: string, spec: object) =>
      apply("object.yaml", manifestText([object(kind, spec)]), "--dry-run=server");
    for (const [kind, spec] of [
      ["Workload", { addresses: ["10.0.0.1"], ports: [{ name: "http", port: 80, applicationPort: 8080 }] }],
      ["PeerAuthentication", { mtls: { mode: "STRICT" } }],
      ["PeerAuthentication", { selector: { matchLabels: { a: "b" } }, portLevelMtls: { "80": { mode: "DISABLE" } } }],
      ["AuthorizationPolicy", { action: "DENY", rules: [{ to: [{ operation: { ports: ["80", 81] } }] }] }],
      ["AuthorizationPolicy", {}],
      ["RequestAuthentication", { jwtRules: [{ issuer: "i", jwksUri: "https://a/k" }] }],
      ["RequestAuthentication", { jwtRules: [{ issuer: "https://a" }] }],
    ] as const) {
      const { ok, output } = await judge(kind, spec);
      assert.ok(ok, `${kind} ${JSON.stringify(spec)}: ${output}`);
    }
    for (const [kind, spec, why] of [
      ["Workload", { addresses: [] }, /addresses/],
      [
        "Workload",
        { addresses: ["10.0.0.1"], ports: [{ name: "a", port: 80, applicationPort: 80 }] },
        /public port itself/,
      ],
      ["PeerAuthentication", { mtls: { mode: "strict" } }, /Unsupported value/],
      ["PeerAuthentication", { portLevelMtls: { "80": {} } }, /needs a selector/],
      ["AuthorizationPolicy", { rules: [{ from: [] }] }, /from/],
      ["AuthorizationPolicy", { selector: {}, targetRefs: [{ kind: "Service", name: "a" }] }, /exclude each other/],
      ["RequestAuthentication", { jwtRules: [{ issuer: "i" }] }, /jwksUri or jwks, and not both/],
    ] as const) {
      const { ok, output } = await judge(kind, spec);
      assert.ok(!ok, `${kind} ${JSON.stringify(spec)} was taken`);
      assert.match(output, why);
    }
  });

  test("keeps what our kinds do not know, so that the webhook and our readers refuse it, and drops nothing of a policy", async () => {
    const rules = [{ form: [{}], to: [{ operation: { path: ["/a"], methods: ["GET"] } }] }];
    const policy = {
      apiVersion: "heddle.dev/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "misspelt", namespace: shop },
      spec: { selectr: { matchLabels: { a: "b" } }, rules },
    };
    const { ok, output } = await apply("misspelt.yaml", manifestText([policy]));
    assert.ok(ok, output);
    const stored = await kubectl("get", "authorizationpolicy", "misspelt", "-o", "json");
    const { spec } = JSON.parse(stored.output) as { readonly spec: unknown };
    assert.deepEqual(spec, policy.spec);
    assert.ok((await kubectl("delete", "authorizationpolicy", "misspelt")).ok);
  });

  test("takes injected manifests, without a field that it does not know", async () => {
    const chosen = goldens().filter(({ name }) => WHOLE.test(name));
    assert.ok(chosen.length >= 16);
    for (const golden of chosen) {
      // As the plugin ServiceAccount would, which wants a controller that makes accounts.
      const input = golden.input.replace(
        /^spec:(\r?\n)(?= {2}(?:init)?[cC]ontainers:)/m,
        "spec:$1  serviceAccountName: default$1",
      );
      const injected = golden.inject(input).replaceAll("namespace: shop", `namespace: ${shop}`);
      const { ok, output } = await apply(golden.name, injected, "--dry-run=server");
      assert.ok(ok, `${golden.name}: ${output}`);
    }
  });

  test("gives the control plane's account what it needs, and no more: nothing that it asks is forbidden", async (t) => {
    const token = (await kubectl("create", "token", "control-plane", "-n", systemNamespace)).output.trim();
    const authority = makeAuthority(folder);
    const webhooks = objects.filter(({ kind }) => (kind as string).endsWith("WebhookConfiguration"));
    assert.ok((await apply("webhooks.yaml", manifestText(webhooks))).ok);
    const child = spawn(
      process.execPath,
      [
        "--conditions=heddle-src",
        "--disable-warning=ExperimentalWarning",
        "control-plane/src/main.ts",
        "--kubeconfig",
        file("account.yaml", kubeconfigText(server, "control-plane", { token })),
        "--system-namespace",
        systemNamespace,
        "--revision",
        settings.injection.revision,
        ...(isOthers ? ["--kubernetes-namespace", shop] : []),
        "--trust-domain",
        "cluster.local",
        "--ca-certificate",
        authority.certificate,
        "--ca-key",
        authority.key,
        ...["xds", "xds-tls", "admin", "webhook"].flatMap((name) => [`--${name}-address`, "127.0.0.1:0"]),
      ],
      { cwd: projectRoot, stdio: ["ignore", "ignore", "pipe"] },
    );
    t.after(() => child.kill("SIGKILL"));
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    const mutating = webhookNames.filter((name) => name.startsWith("mutating"));
    assert.equal(mutating.length, 2, "the revision's, and the tag's");
    const has = (what: string, words: string, pattern: RegExp): Promise<void> =>
      eventually(
        `${what}; ${words}`,
        async () => {
          assert.doesNotMatch(log, /forbidden|403/i);
          assert.equal(child.exitCode, null, log);
          return pattern.test((await kubectl(...words.split(" "))).output);
        },
        120_000,
      );
    const policy = {
      apiVersion: "heddle.dev/v1",
      kind: "PeerAuthentication",
      metadata: { name: "strict", namespace: shop },
    };
    const validating = webhookNames.filter((name) => name.startsWith("validating"));
    assert.ok((await kubectl("delete", ...validating)).ok, "none is served here");
    assert.ok((await apply("policy.yaml", manifestText([{ ...policy, spec: { mtls: { mode: "STRICT" } } }]))).ok);
    await has("roots are in each namespace", "get configmap heddle-ca-root -o yaml", /BEGIN CERTIFICATE/);
    await has(
      "one replica writes",
      `get lease heddle-control-plane -n ${systemNamespace} -o yaml`,
      /holderIdentity: ./,
    );
    await has("what became of it is told", "get peerauthentication strict -o yaml", /type: Accepted/);
    for (const name of mutating) await has("webhooks know whom to believe", `get ${name} -o yaml`, /caBundle: ./);
    child.kill("SIGTERM");
    await once(child, "exit");
    assert.doesNotMatch(log, /forbidden|403/i);
    const can = async (...words: string[]): Promise<string> =>
      (await kubectl("auth", "can-i", ...words, `--as=system:serviceaccount:${systemNamespace}:control-plane`, "-A"))
        .output;
    for (const words of [
      "get secrets",
      "delete pods",
      "create pods",
      "update configmaps",
      "patch nodes",
      "create clusterrolebindings",
    ])
      assert.match(await can(...words.split(" ")), /^no/m, words);
  });

  test("is left as it was by heddle uninstall --all", async () => {
    const text = manifestText(ownObjects(uninstallObjects(settings, true)));
    const deleted = await kubectl("delete", "--ignore-not-found", "--wait=false", "-f", file("uninstall.yaml", text));
    assert.ok(deleted.ok, deleted.output);
    const { output } = await kubectl("get", "clusterroles,clusterrolebindings,daemonsets,crds", "-A", "-o", "name");
    const own = isOthers ? new RegExp(settings.injection.revision) : /clusterrole.*heddle|heddle-cni|heddle-tag/;
    assert.doesNotMatch(output, own);
  });
});
