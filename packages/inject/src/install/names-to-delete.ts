import type { JsonObject } from "@heddle/base";

/** As much of each object as `kubectl delete` wants, in the reverse of the order in which they were made. */
export function namesToDelete(objects: readonly JsonObject[]): readonly JsonObject[] {
  return objects.toReversed().map(({ apiVersion, kind, metadata }) => {
    const { name, namespace } = metadata as JsonObject;
    return {
      apiVersion: apiVersion!,
      kind: kind!,
      metadata: { name: name!, ...(namespace !== undefined && { namespace }) },
    };
  });
}
