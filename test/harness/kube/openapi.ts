import { groups } from "./discovery.ts";
import { apiVersionOf, type Kind, type Kinds } from "./kinds.ts";
import type { JsonObject } from "./kube-object.ts";

/**
 * As much of /openapi/v3 as makes kubectl content: that each kind can be written, and that the server itself looks at fields. It has
 * no schemas: `kubectl explain` has nothing to say.
 */
export function openApiV3(path: string, kinds: Kinds): JsonObject | undefined {
  const places = groups(kinds).flatMap(({ name, versions }) =>
    versions.map((version) => (name === "" ? `api/${version}` : `apis/${name}/${version}`)),
  );
  if (path === "/openapi/v3")
    return { paths: Object.fromEntries(places.map((place) => [place, { serverRelativeURL: `/openapi/v3/${place}` }])) };
  const place = path.slice("/openapi/v3/".length);
  if (!places.includes(place)) return undefined;
  const here = kinds.all().filter((kind) => `${kind.group === "" ? "api" : "apis"}/${apiVersionOf(kind)}` === place);
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: "v1.32.0" },
    paths: Object.fromEntries(here.map((kind) => [pathOf(kind), operations(kind)])),
    components: { schemas: {} },
  };
}

function pathOf(kind: Kind): string {
  const root = `/${kind.group === "" ? "api" : "apis"}/${apiVersionOf(kind)}`;
  return `${root}${kind.namespaced ? "/namespaces/{namespace}" : ""}/${kind.plural}/{name}`;
}

function operations({ group, version, kind }: Kind): JsonObject {
  const parameters = ["dryRun", "fieldManager", "fieldValidation"].map((name) => ({
    name,
    in: "query",
    schema: { type: "string" },
  }));
  const operation = (action: string): JsonObject => ({
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": { group, version, kind },
    parameters,
  });
  return { get: operation("get"), put: operation("put"), patch: operation("patch"), delete: operation("delete") };
}
