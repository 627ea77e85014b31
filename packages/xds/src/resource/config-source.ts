import type { Fields } from "./fields.ts";

/**
 * `envoy.config.core.v3.ConfigSource`: where a resource comes from. Only the stream that brought this resource is
 * supported (ads or self); the others are refused by their fields.
 */
export function requireAds(fields: Fields, field: string): void {
  const source = fields.message(field);
  if (source === undefined) {
    fields.fail(field, "must be set; supported are ads and self");
    return;
  }
  source.message("ads");
  source.message("self");
}
