import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { parseYamlDocuments } from "@heddle/config/yaml";
import { DEFAULT_INSTALL_SETTINGS, type InstallSettings, installObjects } from "@heddle/inject/install";
import { helmProgram } from "../../scripts/helm.ts";
import { projectRoot } from "../harness/imports.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* What a real Helm makes of the chart is what `heddle install` prints. */

const CHART = join(projectRoot, "deploy/helm/heddle");
const skip = existsSync(helmProgram) ? false : "there is no Helm: npm run helm builds one with Go";
const { injection } = DEFAULT_INSTALL_SETTINGS;

describe("Helm", { skip }, () => {
  const owner = lastFirst({ after });

  function helm(...words: readonly string[]) {
    const folder = scratchFolder(owner);
    const env = {
      PATH: process.env["PATH"],
      HELM_CACHE_HOME: join(folder, "cache"),
      HELM_CONFIG_HOME: join(folder, "config"),
      HELM_DATA_HOME: join(folder, "data"),
    };
    return spawnSync(helmProgram, words, { encoding: "utf8", env, maxBuffer: 64 * 1024 * 1024, timeout: 60_000 });
  }

  function rendered(...flags: readonly string[]): readonly Json[] {
    const words = ["template", "heddle", CHART, "--include-crds", "--kube-version", "1.34.0", ...flags];
    const { status, stdout, stderr } = helm(...words);
    assert.equal(status, 0, stderr);
    const documents = parseYamlDocuments("helm template", stdout);
    assert.ok(documents.ok, JSON.stringify(documents));
    return documents.value.map(({ json }) => json).filter(isJsonObject);
  }

  const named = (object: Json): string => {
    const { kind, metadata } = object as JsonObject;
    return JSON.stringify([kind, (metadata as JsonObject)["name"]]);
  };
  const sorted = (objects: readonly Json[]): readonly Json[] =>
    objects.toSorted((a, b) => named(a).localeCompare(named(b)));

  test("finds no fault in the chart", () => {
    const { status, stdout } = helm("lint", "--strict", "--quiet", CHART);
    assert.equal(status, 0, stdout);
  });

  for (const { what, flags, settings } of [
    { what: "its own values", flags: [], settings: DEFAULT_INSTALL_SETTINGS },
    {
      what: "CNI, three replicas, another Secret and a store",
      flags: ["--set", "injection.cni=true,replicas=3,caSecret=own", "--set-string", "store=etcds://a:2379/m"],
      settings: {
        ...DEFAULT_INSTALL_SETTINGS,
        injection: { ...injection, cni: true },
        replicas: 3,
        caSecret: "own",
        store: "etcds://a:2379/m",
      },
    },
    {
      what: "tags, another namespace, image and trust domain",
      flags: ["--set", "tags={prod,stable},namespace=mesh,trustDomain=example.org", "--set", "image=mirror/heddle:2"],
      settings: {
        ...DEFAULT_INSTALL_SETTINGS,
        tags: ["prod", "stable"],
        injection: {
          ...injection,
          namespace: "mesh",
          trustDomain: "example.org",
          image: "mirror/heddle:2",
          controlPlane: "heddle-control-plane.mesh.svc:15012",
        },
      },
    },
  ] satisfies { what: string; flags: readonly string[]; settings: InstallSettings }[])
    test(`makes of the chart what heddle install prints: ${what}`, () => {
      assert.deepEqual(sorted(rendered(...flags)), sorted(installObjects(settings)));
    });

  test("leaves the namespace to who has made it, and refuses values that no setting may have", () => {
    const beside = rendered("--set", "createNamespace=false");
    assert.ok(beside.length > 10 && !beside.some((object) => named(object).startsWith('["Namespace"')));
    for (const wrong of ["replicas=0", "replicaCount=2", "trustDomain=A B", "injection.cni=1"]) {
      const { status, stderr } = helm("template", "heddle", CHART, "--kube-version", "1.34.0", "--set", wrong);
      assert.notEqual(status, 0, wrong);
      assert.match(stderr, /values don't meet the specifications of the schema/);
    }
    const { stderr } = helm("template", "heddle", CHART, "--kube-version", "1.28.0");
    assert.match(stderr, /requires kubeVersion: >=1\.29/);
  });
});
