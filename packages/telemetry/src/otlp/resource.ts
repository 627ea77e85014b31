import { defaultResource, type Resource, resourceFromAttributes } from "@opentelemetry/resources";

/** A resource with these attributes, and what the SDK says of itself. */
export function makeResource(attributes: Readonly<Record<string, string>>): Resource {
  return defaultResource().merge(resourceFromAttributes(attributes));
}
