import { isJsonObject, type Json } from "@heddle/base";

/** What Kubernetes' own schema has against an object: no texts, nothing. Throws for a kind that it does not know. */
export async function schemaFaults(object: Json): Promise<string[]> {
  if (!isJsonObject(object)) return ["is no object"];
  const { apiVersion, kind, items } = object;
  if (kind === "List" || (typeof kind === "string" && kind.endsWith("List"))) {
    const typed = (items as Json[]).map(
      (item) => ({ apiVersion, kind: kind.slice(0, -4), ...(item as object) }) as Json,
    );
    return (await Promise.all((kind === "List" ? (items as Json[]) : typed).map(schemaFaults))).flat();
  }
  const module = `kubernetes-models/${apiVersion as string}/${kind as string}`;
  const models = (await import(module)) as Record<string, new (data: Json) => { validate(): void }>;
  const Model = models[kind as string];
  if (Model === undefined) throw new Error(`${module} has no ${kind as string}`);
  try {
    new Model(object).validate();
    return [];
  } catch (error) {
    return [`${kind as string}: ${(error as Error).message}`];
  }
}
