import type { Json } from "@heddle/base";
import { formatYaml } from "@heddle/config/yaml";
import { formatKey, type StoredResource } from "@heddle/control-plane/resource-api";
import { formatTable } from "../up/table.ts";

/** A document that `heddle apply` takes back as the same resource, with a comment that says what is known of it. */
export function yamlOf(stored: StoredResource): string {
  const { key, version, author, manager, updated } = stored;
  const by = [author, manager].filter((name) => name !== "").join(", ");
  return `# ${formatKey(key)}, version ${version}, ${updated}${by === "" ? "" : `, by ${by}`}\n${formatYaml(documentOf(stored))}`;
}

/** The resource alone, or, where it says more, as a list of one. */
export function documentOf({ key, override, resource }: StoredResource): Json {
  const json = resource as Json;
  if (!override && key.nodeCluster === "") return json;
  return {
    ...(override && { override }),
    ...(key.nodeCluster !== "" && { for: { "node.cluster": key.nodeCluster } }),
    resources: [json],
  };
}

export function tableOf(resources: readonly StoredResource[]): string {
  if (resources.length === 0)
    return "none has been put into this control plane (what it reads from files or Kubernetes is not shown here)";
  const rows = resources.map(({ key, version, updated, author, manager }) => [
    formatKey({ ...key, nodeCluster: "" }),
    key.nodeCluster === "" ? "all" : key.nodeCluster,
    String(version),
    updated,
    author || "anybody",
    manager || "-",
  ]);
  return formatTable(rows, ["RESOURCE", "NODES", "VERSION", "UPDATED", "BY", "WITH"]);
}
