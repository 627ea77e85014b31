import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { keyOf, Mesh, type MeshObject } from "./mesh.ts";
import { objectsOf } from "./testing.ts";

const NAME = fc.constantFrom("a", "b", "c");
const ADDRESS = fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3");
const WORKLOAD = fc.record({ name: NAME, app: NAME, address: ADDRESS });
const YAML = fc.oneof(
  fc.record({ name: NAME, app: NAME }).map(({ name, app }) => serviceYaml(name, app)),
  WORKLOAD.map(({ name, app, address }) => workloadYaml(name, app, address)),
  WORKLOAD.map(({ name, app, address }) => workloadYaml(name, app, address)),
  fc.record({ service: NAME, address: ADDRESS }).map(({ service, address }) => sliceYaml(service, address)),
);
const CHANGE = fc.record({ object: YAML.map((yaml) => objectsOf(yaml)[0]!), put: fc.nat(3).map((what) => what > 0) });
const START = ["a", "b", "c"].flatMap((name) => [
  ...objectsOf(serviceYaml(name, name)),
  ...objectsOf(workloadYaml(name, name, "10.0.0.1")),
]);

describe("a mesh that is made against the one before", () => {
  it("answers as one that is made of the objects alone", () => {
    fc.assert(
      fc.property(fc.array(CHANGE, { minLength: 2, maxLength: 20 }), (changes) => {
        const objects = new Map<string, MeshObject>(START.map((object) => [keyOf(object), object]));
        let mesh = new Mesh(objects.values());
        answersOf(mesh); // what has been asked for is what can be taken over
        for (const { object, put } of changes) {
          if (put) objects.set(keyOf(object), object);
          else objects.delete(keyOf(object));
          mesh = new Mesh(objects.values(), mesh);
          assert.deepEqual(answersOf(mesh), answersOf(new Mesh(objects.values())));
        }
      }),
      { seed: 5, numRuns: 80 },
    );
  });

  it("says which workloads alone have been replaced, and nothing where more is different", () => {
    const [service, before] = [objectsOf(serviceYaml("a", "a")), objectsOf(workloadYaml("1", "a", "10.0.0.1"))];
    const after = objectsOf(workloadYaml("1", "a", "10.0.0.2"));
    const mesh = new Mesh([...service, ...before]);
    assert.deepEqual(new Mesh([...service, ...after], mesh).replacedSince(mesh), new Set(before));
    assert.deepEqual(new Mesh([...service, ...before], mesh).replacedSince(mesh), new Set());
    assert.equal(new Mesh(service, mesh).replacedSince(mesh), undefined);
    assert.equal(new Mesh([...objectsOf(serviceYaml("a", "b")), ...before], mesh).replacedSince(mesh), undefined);
  });
});

function serviceYaml(name: string, app: string): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { selector: { app: ${app} }, ports: [{ name: http, port: 80 }] }`;
}

function workloadYaml(name: string, app: string, address: string): string {
  return `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: w-${name}, labels: { app: ${app} } }\nspec: { addresses: [${address}], ports: [{ name: http, port: 8080 }] }`;
}

function sliceYaml(service: string, address: string): string {
  return `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: ${service}, labels: { kubernetes.io/service-name: ${service} } }\naddressType: IPv4\nports: [{ name: "", port: 80 }]\nendpoints: [{ addresses: [${address}] }]`;
}

/** By identity of objects where that counts. */
function answersOf(mesh: Mesh): unknown {
  return {
    services: mesh.services.map((service) => ({
      key: keyOf(service),
      found: mesh.service(service.namespace, service.name) === service,
      selected: mesh.workloadsOf(service).map((workload) => mesh.workloads.indexOf(workload)),
      behind: mesh.workloadsBehind(service).map((workload) => mesh.workloads.indexOf(workload)),
      slices: mesh.slicesOf(service),
      addresses: mesh.addressesOf(service),
    })),
    workloads: mesh.workloads.map((one) => mesh.workload(one.namespace, one.name) === one),
    inDefault: mesh.servicesIn("default"),
    sensitivity: mesh.sensitivity,
  };
}
