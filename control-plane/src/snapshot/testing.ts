import assert from "node:assert/strict";
import type { EndpointsConfig, ListenerConfig } from "@heddle/traffic";
import { makeResourceTypes, type Snapshot, type SnapshotWatch, type XdsNode } from "@heddle/xds";
import { mergeItems, type World } from "../source/merge.ts";
import { parseResource } from "../source/parse-resource.ts";
import { readFileText } from "../source/read-file.ts";
import type { SourceItem } from "../source/source.ts";
import { Snapshots } from "./snapshots.ts";

/* For tests of what nodes get: worlds of YAML texts, and what is in a snapshot. */

const TYPES = makeResourceTypes({ httpFilters: "unchecked" });
const CLUSTER_NAME = "outbound/80/orders.default";

/** A world of YAML texts; a text that was put before is the same objects again. */
export class TestMesh {
  readonly #snapshots: Snapshots;
  readonly #read = new Map<string, readonly SourceItem[]>();

  constructor(trustDomain: string | null = "mesh.test") {
    this.#snapshots = new Snapshots(TYPES, trustDomain === null ? undefined : { trustDomain });
  }

  put(...texts: readonly string[]): void {
    const items = texts.flatMap((text) => {
      let read = this.#read.get(text);
      if (read === undefined) this.#read.set(text, (read = itemsOf(text)));
      return read;
    });
    this.#snapshots.publish(mergeItems(items, new Map()).world);
  }

  watch(who: XdsNode, onChange: () => void = () => {}): SnapshotWatch {
    const watch = this.#snapshots.watch(who, onChange);
    for (const type of Object.values(TYPES))
      for (const { name, bytes } of watch.current?.resources.get(type.typeUrl)?.values() ?? []) {
        const decoded = type.decode(bytes);
        assert.ok(decoded.ok, `${name}: ${JSON.stringify(decoded)}`);
        assert.deepEqual(decoded.value.unhonoured, [], name);
      }
    return watch;
  }

  closed(): ReadonlyMap<string, readonly string[]> {
    return this.#snapshots.closed();
  }

  /** Counts what is computed from here on, without what only collects. */
  cost(): () => Record<string, number> {
    const before = new Map(this.#snapshots.computed);
    return () => {
      const since = [...this.#snapshots.computed].map(([kind, n]) => [kind, n - (before.get(kind) ?? 0)] as const);
      return Object.fromEntries(since.filter(([kind, n]) => n > 0 && kind !== "snapshot" && kind !== "scope"));
    };
  }
}

/** A world of YAML texts. Throws on errors in them. */
export function worldOf(...texts: readonly string[]): World {
  return mergeItems(texts.flatMap(itemsOf), new Map()).world;
}

function itemsOf(text: string): readonly SourceItem[] {
  const { items, diagnostics } = readFileText("test.yaml", text, parseResource);
  assert.deepEqual(
    diagnostics.filter(({ severity }) => severity === "error"),
    [],
  );
  return items;
}

export function find<Config>(
  snapshot: Snapshot | undefined,
  kind: keyof typeof TYPES,
  name: string,
): Config | undefined {
  const type = TYPES[kind];
  const resource = snapshot?.resources.get(type.typeUrl)?.get(name);
  if (resource === undefined) return undefined;
  const decoded = type.decode(resource.bytes);
  assert.ok(decoded.ok);
  return decoded.value.config as unknown as Config; // of the kind that was asked for
}

export function listener(snapshot: Snapshot | undefined, name: string): ListenerConfig {
  const config = find<ListenerConfig>(snapshot, "listener", name);
  assert.ok(config !== undefined, name);
  return config;
}

export function cluster(snapshot: Snapshot | undefined) {
  const resource = snapshot?.resources.get(TYPES.cluster.typeUrl)?.get(CLUSTER_NAME);
  assert.ok(resource !== undefined);
  const decoded = TYPES.cluster.decode(resource.bytes);
  assert.ok(decoded.ok);
  return decoded.value.config;
}

export function endpointMetadata(snapshot: Snapshot | undefined): readonly object[] {
  const config = find<EndpointsConfig>(snapshot, "endpoints", CLUSTER_NAME);
  return config?.localities.flatMap(({ endpoints }) => endpoints.map(({ metadata }) => metadata)) ?? [];
}

/** "endpoints outbound/80/orders.default", sorted: what is another resource now, new or gone. */
export function changes(before: Snapshot | undefined, after: Snapshot | undefined): readonly string[] {
  return Object.values(TYPES)
    .flatMap(({ typeUrl, kind }) => {
      const [old, now] = [before?.resources.get(typeUrl), after?.resources.get(typeUrl)];
      const names = new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])]);
      return [...names].filter((name) => old?.get(name) !== now?.get(name)).map((name) => `${kind} ${name}`);
    })
    .sort();
}

export function node(name: string, account?: string): XdsNode {
  return {
    id: `default/${name}/a`,
    cluster: name,
    metadata: {},
    locality: { region: "", zone: "", subZone: "" },
    userAgentName: "heddle",
    userAgentVersion: "",
    clientFeatures: [],
    ...(account !== undefined && { identity: { trustDomain: "mesh.test", path: `/ns/default/sa/${account}` } }),
  };
}

export function service(name: string): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }\n`;
}

export function workload(
  name: string,
  more: { app?: string; account?: string; protocol?: string; ports?: string } = {},
): string {
  const { app = "orders", account = "default", protocol = "http" } = more;
  const ports = more.ports ?? `[{ name: http, protocol: ${protocol}, port: 8001, applicationPort: 9001 }]`;
  return `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${name}, labels: { app: ${app} } }\nspec:\n  addresses: [127.0.0.1]\n  ports: ${ports}\n  serviceAccount: ${account}\n`;
}

/** @param key "default/name" */
export function policy(kind: string, key: string, spec: string): string {
  const [namespace = "", name = ""] = key.split("/");
  return `apiVersion: heddle.dev/v1\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec:\n  ${spec}\n`;
}
