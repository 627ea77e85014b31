import { isJsonObject, type Json } from "@heddle/base";

/** One list of `static_resources`, and where it stands. */
export interface StaticList {
  readonly path: string;
  readonly items: readonly Json[];
}

/** The bootstrap without its lists of resources, and these. What stands alone is a list of one, as everywhere in proto JSON. */
export function splitStatic(json: Json): {
  rest: Json;
  listeners: StaticList;
  clusters: StaticList;
  secrets: StaticList;
} {
  let rest = json;
  const take = (name: "listeners" | "clusters" | "secrets"): StaticList => {
    for (const key of ["static_resources", "staticResources"]) {
      const resources = isJsonObject(rest) ? rest[key] : undefined;
      const given = isJsonObject(resources) ? resources[name] : undefined;
      if (!isJsonObject(rest) || !isJsonObject(resources) || given === undefined || given === null) continue;
      const { [name]: _, ...others } = resources;
      rest = { ...rest, [key]: others };
      return { path: `${key}.${name}`, items: Array.isArray(given) ? given : [given] };
    }
    return { path: `static_resources.${name}`, items: [] };
  };
  const listeners = take("listeners");
  const clusters = take("clusters");
  const secrets = take("secrets");
  return { rest, listeners, clusters, secrets };
}
