import { formatDiagnostic, parseYamlDocuments } from "@heddle/config";
import { readObjects } from "../read/read-objects.ts";
import { Mesh, type MeshObject } from "./mesh.ts";

/* For tests: meshes written as YAML, the way users write them. */

/** The objects of a YAML text. Throws on errors, so that a test does not run on half of what it says. */
export function objectsOf(yaml: string, file = "test.yaml"): readonly MeshObject[] {
  const documents = parseYamlDocuments(file, yaml);
  if (!documents.ok) throw new Error(documents.error.map(formatDiagnostic).join("\n"));
  return documents.value.flatMap((document) => {
    const { objects, diagnostics } = readObjects(document);
    const errors = diagnostics.filter(({ severity }) => severity === "error");
    if (errors.length > 0) throw new Error(errors.map(formatDiagnostic).join("\n"));
    return objects;
  });
}

export function meshOf(...yaml: readonly string[]): Mesh {
  return new Mesh(yaml.flatMap((text) => objectsOf(text)));
}

export function serviceYaml(name: string, more = ""): string {
  const [service = "", namespace = "default"] = name.split(".");
  return `
apiVersion: v1
kind: Service
metadata: { name: ${service}, namespace: ${namespace} }
spec: { selector: { app: ${service} }, ports: [{ name: http, port: 80 }${more}] }
---`;
}

export function routeYaml(name: string, parent: string, rules: string): string {
  const [route = "", namespace = "default"] = name.split(".");
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${route}, namespace: ${namespace} }
spec:
  parentRefs: [${parent}]
  rules: ${rules}
---`;
}

/** @param spec as JSON. */
export function streamRouteYaml(kind: "TCPRoute" | "TLSRoute", name: string, spec: string): string {
  const [route = "", namespace = "default"] = name.split(".");
  return `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: ${kind}
metadata: { name: ${route}, namespace: ${namespace} }
spec: ${spec}
---`;
}

/** Lets routes of that kind, of the namespace "default", lead to a Service of the grant's namespace. */
export function grantYaml(name: string, kind: string, to: string): string {
  const [grant = "", namespace = "default"] = name.split(".");
  return `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: { name: ${grant}, namespace: ${namespace} }
spec:
  from: [{ group: gateway.networking.k8s.io, kind: ${kind}, namespace: default }]
  to: [{ group: "", kind: Service, name: ${to} }]
---`;
}
