import { isIP } from "node:net";
import type { JsonObject } from "@heddle/base";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What injection tells a sidecar of its pod (packages/inject, by Kubernetes' downward API), as metadata of its node for our own control
 * plane: `heddle: { pod, capture, podIps }`. Empty where it is in no pod.
 */
export function podMetadata(environment: Environment): JsonObject {
  const pod = environment["POD_NAME"] ?? "";
  const capture = environment["HEDDLE_CAPTURE"] ?? "";
  if (pod === "" || capture === "") return {};
  return { heddle: { pod, capture, podIps: [...podIps(environment)] } };
}

/** The pod's addresses, the first one first; what is none is left out. */
export function podIps(environment: Environment): readonly string[] {
  return (environment["POD_IPS"] ?? "").split(",").filter((address) => isIP(address) !== 0);
}
