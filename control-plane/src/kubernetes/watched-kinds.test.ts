import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@heddle/base";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "@heddle/inject";
import { DEFAULT_INSTALL_SETTINGS, installObjects } from "@heddle/inject/install";
import { MESH_KINDS, NAMESPACES, NODES, PODS } from "./watched-kinds.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs?: readonly string[];
}

const groupOf = (apiVersion: string): string =>
  apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
const CUSTOM = MESH_KINDS.filter(({ isCustom }) => isCustom);

function rulesInstalled(): readonly Rule[] {
  const role = installObjects(DEFAULT_INSTALL_SETTINGS).find(
    ({ kind, metadata }) => kind === "ClusterRole" && (metadata as JsonObject)["name"] === "heddle-control-plane",
  );
  return role?.["rules"] as unknown as readonly Rule[];
}

test("what is installed lets each kind that is followed be listed, its status patched and its definition read, and no other's", () => {
  const rules = rulesInstalled();
  const granted = (verb: string): readonly string[] =>
    rules
      .filter(({ verbs, resourceNames }) => verbs?.includes(verb) === true && resourceNames === undefined)
      .flatMap(({ apiGroups: [group], resources }) => resources.map((resource) => `${group}/${resource}`))
      .filter((resource) => !resource.startsWith("admissionregistration.k8s.io/"))
      .sort();
  const followed = [...MESH_KINDS, PODS, NODES, NAMESPACES];
  assert.deepEqual(
    granted("list"),
    followed.map(({ apiVersion, plural }) => `${groupOf(apiVersion)}/${plural}`).sort(),
  );
  assert.deepEqual(
    granted("patch"),
    followed
      .filter(({ hasStatus }) => hasStatus)
      .map(({ apiVersion, plural }) => `${groupOf(apiVersion)}/${plural}/status`)
      .sort(),
  );
  const definitions = rules.filter(({ resources }) => resources.includes("customresourcedefinitions"));
  assert.deepEqual(
    definitions.map(({ verbs, resourceNames }) => [verbs, [...(resourceNames ?? [])].sort()]),
    [[["get"], CUSTOM.map(({ apiVersion, plural }) => `${plural}.${groupOf(apiVersion)}`).sort()]],
  );
});

test("an API server asks the webhook about each kind whose status is ours, in every version in which it may be followed", () => {
  const validating = webhookConfigurations(DEFAULT_WEBHOOK_SETTINGS).find(
    ({ kind }) => kind === "ValidatingWebhookConfiguration",
  );
  const webhooks = (validating?.["webhooks"] ?? []) as unknown as readonly { readonly rules: readonly Rule[] }[];
  const rules = webhooks.flatMap((webhook) => webhook.rules);
  const isAsked = (apiVersion: string, plural: string): boolean =>
    rules.some(
      ({ apiGroups, apiVersions, resources }) =>
        apiGroups.some((group) => apiVersions?.some((version) => `${group}/${version}` === apiVersion)) &&
        (resources.includes(plural) || resources.includes("*")),
    );
  const missed = CUSTOM.filter(({ hasStatus }) => hasStatus).flatMap(({ apiVersion, olderVersions = [], plural }) =>
    [apiVersion, ...olderVersions].filter((version) => !isAsked(version, plural)),
  );
  assert.deepEqual(missed, []);
});
