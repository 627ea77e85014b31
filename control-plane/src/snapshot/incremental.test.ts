import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeResourceTypes, type Snapshot, type XdsNode } from "@heddle/xds";
import fc from "fast-check";
import { type Merged, mergeItems } from "../source/merge.ts";
import { parseResource } from "../source/parse-resource.ts";
import { readFileText } from "../source/read-file.ts";
import type { SourceItem } from "../source/source.ts";
import { Snapshots } from "./snapshots.ts";

const TYPES = makeResourceTypes({ httpFilters: "unchecked" });
const NODES: readonly XdsNode[] = [
  ...["default/a-1/x", "default/b-1/x", "other/c-1/x", "foreign"].map(node),
  ...["default/a-1/y", "default/b-1/y"].map((id) => ({
    ...node(id),
    identity: { trustDomain: "mesh.test", path: "/ns/default/sa/default" },
  })),
];
const TRUST = { trustDomain: "mesh.test" };

describe("snapshots that follow changes", () => {
  it("are what they would be if they had been made anew, and change only where their content does", () => {
    fc.assert(
      fc.property(fc.array(CHANGES, { minLength: 1, maxLength: 15 }), (changes) => {
        const files = new Map<string, readonly SourceItem[]>();
        let merged: Merged | undefined;
        const followed = new Snapshots(TYPES, TRUST);
        const watches = NODES.map((one) => followed.watch(one, () => {}));
        for (const { name, yaml } of changes) {
          if (yaml === undefined) files.delete(name);
          else files.set(name, itemsOf(name, yaml));
          const before = watches.map(({ current }) => current);
          merged = mergeItems([...files.values()].flat(), merged?.serving ?? new Map(), undefined, merged);
          followed.publish(merged.world);
          const anew = new Snapshots(TYPES, TRUST);
          publish(anew, files);
          for (const [index, watch] of watches.entries()) {
            const expected = contentOf(anew.watch(NODES[index] ?? node("none"), () => {}).current);
            assert.deepEqual(contentOf(watch.current), expected);
            const last = before[index];
            if (last !== undefined && last !== watch.current) assert.notDeepEqual(contentOf(last), expected);
          }
        }
      }),
      { seed: 11, numRuns: 60 },
    );
  });
});

const PORTS = fc.constantFrom(80, 81);
const SERVICES = fc.constantFrom("a", "b", "c");
const NAMESPACES = fc.constantFrom("default", "other");

const YAML = fc.oneof(
  fc
    .record({
      name: SERVICES,
      namespace: NAMESPACES,
      port: PORTS,
      app: SERVICES,
      portName: fc.constantFrom("http", "tcp", "any"),
      more: fc.constantFrom("", ", clusterIP: None", ", trafficDistribution: PreferClose"),
    })
    .map(({ name, namespace, port, app, portName, more }) => ({
      name: `service-${name}-${namespace}`,
      yaml: `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { selector: { app: ${app} }, ports: [{ name: ${portName}, port: ${port} }]${more} }`,
    })),
  fc
    .record({
      app: SERVICES,
      label: SERVICES,
      port: fc.integer({ min: 1000, max: 1003 }),
      egress: fc.constantFrom("", "egress: ['*']", "egress: [a, c.other]"),
      account: fc.constantFrom("default", "other"),
      zone: fc.constantFrom("a", "b"),
      ports: fc.constantFrom("applicationPort: 9 }]", "applicationPort: 9 }]", "}]\n  capture: redirect"),
    })
    .map(({ app, label, port, egress, account, zone, ports }) => ({
      name: `workload-${app}`,
      yaml: `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${app}-1, labels: { app: ${label} } }\nspec:\n  addresses: [10.0.0.1]\n  ports: [{ name: http, port: ${port}, ${ports}\n  serviceAccount: ${account}\n  locality: { zone: ${zone} }\n  ${egress}`,
    })),
  fc
    .record({
      name: SERVICES,
      namespace: NAMESPACES,
      parent: SERVICES,
      parentNamespace: NAMESPACES,
      to: fc.constantFrom("a", "b", "c", "a, namespace: other"),
      weight: fc.nat(2),
      kind: fc.constantFrom("HTTPRoute", "HTTPRoute", "GRPCRoute", "TCPRoute"),
    })
    .map(({ name, namespace, parent, parentNamespace, to, weight, kind }) => ({
      name: `${kind}-${name}-${namespace}`,
      yaml: `apiVersion: gateway.networking.k8s.io/v1\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec:\n  parentRefs: [{ group: "", kind: Service, name: ${parent}, namespace: ${parentNamespace} }]\n  rules: [{ backendRefs: [{ name: ${to}, port: 80, weight: ${weight} }] }]`,
    })),
  fc.constantFrom("HTTPRoute", "TCPRoute").map((kind) => ({
    name: "grant",
    yaml: `apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: { name: g, namespace: other }\nspec:\n  from: [{ group: gateway.networking.k8s.io, kind: ${kind}, namespace: default }]\n  to: [{ group: "", kind: Service }]`,
  })),
  fc.record({ service: SERVICES, zone: fc.constantFrom("a", "b", "") }).map(({ service, zone }) => ({
    name: `slice-${service}`,
    yaml: `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: ${service}, labels: { kubernetes.io/service-name: ${service} } }\naddressType: IPv4\nports: [{ name: http, port: 80 }]\nendpoints:\n  - { addresses: [10.9.0.1], zone: a${zone === "" ? "" : `, hints: { forZones: [{ name: ${zone} }] }`} }\n  - { addresses: [10.9.0.2], zone: b, hints: { forZones: [{ name: b }] } }`,
  })),
  fc
    .record({
      name: fc.constantFrom("p", "q"),
      namespace: fc.constantFrom("default", "heddle-system"),
      target: fc.constantFrom("", "selector: { matchLabels: { app: a } }", "selector: { matchLabels: { app: b } }"),
      mode: fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE", "UNSET"),
    })
    .map(({ name, namespace, target, mode }) => ({
      name: `peer-${name}-${namespace}`,
      yaml: `apiVersion: heddle.dev/v1\nkind: PeerAuthentication\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec:\n  mtls: { mode: ${mode} }\n  ${target}`,
    })),
  fc
    .record({
      name: fc.constantFrom("p", "q"),
      target: fc.constantFrom(
        "",
        "selector: { matchLabels: { app: a } }",
        "targetRefs: [{ kind: Service, name: a }]",
        "targetRefs: [{ kind: Service, name: b }]",
      ),
      action: fc.constantFrom("ALLOW", "DENY", "AUDIT"),
    })
    .map(({ name, target, action }) => ({
      name: `rules-${name}`,
      yaml: `apiVersion: heddle.dev/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name} }\nspec:\n  action: ${action}\n  rules: [{}]\n  ${target}`,
    })),
  fc
    .record({
      name: fc.constantFrom("mine", "outbound/80/a.default"),
      override: fc.boolean(),
      timeout: fc.integer({ min: 1, max: 2 }),
    })
    .map(({ name, override, timeout }) => ({
      name: `raw-${name.length}`,
      yaml: `override: ${override}\nresources: [{ "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: "${name}", connect_timeout: ${timeout}s }]`,
    })),
);

/** Something is put, changed, put again as it was, or removed. */
const CHANGES = fc
  .tuple(YAML, fc.nat(4))
  .map(([{ name, yaml }, what]) => ({ name, yaml: what === 0 ? undefined : yaml }));

function itemsOf(file: string, yaml: string): readonly SourceItem[] {
  const { items, diagnostics } = readFileText(file, yaml, parseResource);
  assert.deepEqual(
    diagnostics.filter(({ severity }) => severity === "error"),
    [],
  );
  return items;
}

function publish(snapshots: Snapshots, files: ReadonlyMap<string, readonly SourceItem[]>): void {
  snapshots.publish(mergeItems([...files.values()].flat(), new Map()).world);
}

function contentOf(snapshot: Snapshot | undefined): Record<string, string> {
  const all = [...(snapshot?.resources ?? [])].flatMap(([typeUrl, resources]) =>
    [...resources.values()].map(({ name, version }) => [`${typeUrl} ${name}`, version] as const),
  );
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function node(id: string): XdsNode {
  return {
    id,
    cluster: id.split("/")[1] ?? id,
    metadata: id.startsWith("other") ? { heddle: {} } : {},
    locality: { region: "", zone: id === "foreign" ? "a" : "", subZone: "" },
    userAgentName: "test",
    userAgentVersion: "",
    clientFeatures: [],
  };
}
