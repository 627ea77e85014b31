import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "@heddle/config";
import type { MeshObject } from "@heddle/mesh";
import { judgeChange } from "./judge-change.ts";
import { parseResource } from "./parse-resource.ts";
import { readFileText } from "./read-file.ts";
import type { Source, SourceItem } from "./source.ts";
import { service } from "./source-contract.ts";
import { Sources } from "./sources.ts";

function items(file: string, text: string): readonly SourceItem[] {
  return readFileText(file, text, parseResource).items;
}

function objects(file: string, text: string): readonly MeshObject[] {
  return items(file, text).filter((item) => item.kind !== "raw");
}

function sourcesOf(...sets: readonly (readonly SourceItem[] | undefined)[]): Sources {
  const sources = new Sources(
    sets.map(
      (set): Source => ({
        name: "test",
        items: set,
        diagnostics: [],
        start: (onChange) => onChange(),
        close: async () => undefined,
      }),
    ),
  );
  sources.start(() => undefined);
  return sources;
}

function judged(sources: Sources, place: string, text: string) {
  const faults = judgeChange(sources, place, objects(place, text));
  return faults && { errors: faults.errors.map(formatDiagnostic), warnings: faults.warnings.map(formatDiagnostic) };
}

const PLACE = "kubernetes HTTPRoute default/web";

function route(backend: string, name = "web"): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: "", kind: Service, name: a }]
  rules: [{ backendRefs: [{ name: ${backend}, port: 80 }] }]
`;
}

const policy = (mode: string): string =>
  `apiVersion: heddle.dev/v1\nkind: PeerAuthentication\nmetadata: { name: all }\nspec: { mtls: { mode: ${mode} } }\n`;

const NOTHING = { errors: [], warnings: [] };

test("as long as a source has not been read, nobody knows", () => {
  assert.equal(judged(sourcesOf(items("a", service("a")), undefined), PLACE, route("a")), undefined);
});

test("what another source has under the same name is an error that names it", () => {
  const files = items("mesh/web.yaml", `${service("a")}---\n${route("a")}`);
  const { errors = [] } = judged(sourcesOf(files, []), PLACE, route("a")) ?? {};
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? "", /the http-route default\/web stands also in mesh\/web\.yaml:\d+, which serves/);
});

test("a name that stood in two places before is no fault of whoever changes one of them", () => {
  const files = items("a.yaml", `${service("a")}---\n${route("a")}`);
  const { errors, warnings = [] } = judged(sourcesOf(files, items(PLACE, route("a"))), PLACE, route("b")) ?? {};
  assert.deepEqual(errors, []);
  assert.match(warnings.join("\n"), /stands also in a\.yaml/);
});

test("what an object leads to may still come: a warning", () => {
  const sources = sourcesOf(items("a", service("a")), []);
  assert.deepEqual(judged(sources, PLACE, route("a")), NOTHING);
  const { errors, warnings = [] } = judged(sources, PLACE, route("b")) ?? {};
  assert.deepEqual(errors, []);
  assert.match(warnings.join(), /there is no Service "b" in the namespace "default"/);
});

test("what is wrong with others is not told", () => {
  const others = [
    ...items("kubernetes Service default/a", service("a")),
    ...items("kubernetes HTTPRoute default/broken", route("nowhere", "broken")),
    ...items("a.yaml", policy("STRICT")),
    ...items("b.yaml", policy("DISABLE")),
  ];
  assert.deepEqual(judged(sourcesOf(others), PLACE, route("a")), NOTHING);
});

test("in a mesh of many workloads errors are still found, and warnings are not looked for", () => {
  const [workload] = objects(
    "w.yaml",
    "apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: w }\nspec: { addresses: [10.1.0.1] }\n",
  );
  const workloads = Array.from({ length: 3001 }, (_, index) => ({ ...workload!, name: `w${index}` }));
  const sources = sourcesOf([...workloads, ...items("p.yaml", policy("STRICT"))]);
  const { errors = [], warnings } =
    judged(sources, "kubernetes PeerAuthentication default/all", policy("DISABLE")) ?? {};
  assert.match(errors.join(), /the peer-authentication default\/all stands also in p\.yaml:1/);
  assert.deepEqual(warnings, []);
});

test("of many services none is looked at: who makes an object would hold up everybody's configuration", () => {
  const [one] = objects("s.yaml", service("a"));
  let looks = 0;
  const services = Array.from({ length: 3001 }, (_, index) =>
    Object.defineProperty({ ...one!, name: `s${index}` }, "clusterIps", {
      get: () => {
        looks++;
        return [];
      },
    }),
  );
  const sources = sourcesOf([...services, ...items("a.yaml", route("a"))]);
  looks = 0;
  const { errors = [] } = judged(sources, PLACE, route("a")) ?? {};
  assert.match(errors.join(), /the http-route default\/web stands also in a\.yaml/);
  assert.equal(looks, 0);
});
