import type { PolicyTarget } from "../model/policy-target.ts";
import type { Field } from "./field.ts";
import { checkName } from "./metadata.ts";

/** `selector`. */
export function readSelector(selector: Field): PolicyTarget {
  const labels = selector.object("matchLabels").matchLabels.texts();
  return { labels: Object.keys(labels).length === 0 ? undefined : labels, services: undefined };
}

/** `selector`, or `targetRefs`, of which there may be only one. */
export function readTarget(selector: Field, targetRefs: Field, namespace: string): PolicyTarget {
  if (!targetRefs.present) return readSelector(selector);
  if (selector.present) targetRefs.error("stands beside selector, of which only one is allowed");
  const services = targetRefs.items().map((item) => readReference(item, namespace));
  // As nothing, it would be for the whole namespace.
  if (services.length === 0) targetRefs.error("is empty: name a Service, or leave it out");
  return { labels: undefined, services: [...new Set(services)] };
}

function readReference(item: Field, namespace: string): string {
  const { group, kind, name, namespace: elsewhere } = item.object("group", "kind", "name", "namespace");
  const groupName = group.text() ?? "";
  if (groupName !== "" && groupName !== "core") group.error(`found "${groupName}", allowed: "" of Service`);
  if (!kind.present) kind.error("is missing");
  kind.oneOf("Service");
  const other = elsewhere.text() ?? namespace;
  if (other !== namespace) elsewhere.error(`found "${other}", allowed: "${namespace}", the policy's own`);
  const service = name.requiredText();
  if (service !== "") checkName(name, service, "label");
  return service;
}
