import { isJsonObject } from "@heddle/base";
import type { Locality } from "@heddle/mesh";
import type { KubeObject } from "./reflector.ts";

const REGION = "topology.kubernetes.io/region";
const ZONE = "topology.kubernetes.io/zone";
const SUB_ZONE = "heddle.dev/subzone";

/** Where a Node says that it is, by its labels. */
export function nodeLocality({ json }: KubeObject): Locality {
  const metadata = json["metadata"];
  const labels = isJsonObject(metadata) ? metadata["labels"] : undefined;
  const label = (name: string): string => {
    const value = isJsonObject(labels) ? labels[name] : undefined;
    return typeof value === "string" ? value : "";
  };
  return { region: label(REGION), zone: label(ZONE), subZone: label(SUB_ZONE) };
}
