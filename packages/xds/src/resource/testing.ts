import assert from "node:assert/strict";
import { err, type Json, ok } from "@heddle/base";
import { type HttpFilterReader, httpFilterRegistry } from "./filter-config.ts";
import { resourceFromJson } from "./resource-from-json.ts";
import type { FieldReport, ResourceType } from "./resource-type.ts";

/* What the tests of the resource types have in common. */

export const MANAGER =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
export const ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
export const MODULE = "type.googleapis.com/heddle.filters.http.v1.Module";

const router: HttpFilterReader = {
  name: "envoy.filters.http.router",
  configType: "envoy.extensions.filters.http.router.v3.Router",
  terminal: true,
  parse: (config) => ok(config),
};

const module_: HttpFilterReader = {
  name: "heddle.filters.http.module",
  configType: "heddle.filters.http.v1.Module",
  routeConfigType: "heddle.filters.http.v1.Module",
  parse: (config) => {
    const path = (config as { readonly [key: string]: Json })["modulePath"];
    return path === "missing.ts" ? err([{ path: "modulePath", message: "cannot be loaded" }]) : ok(config);
  },
  parseRoute: (config) => ok(config),
};

/** A router, and filters by module. */
export const httpFilters = httpFilterRegistry([router, module_]);

export function bytesOf(type: { readonly typeUrl: string }, json: object): Uint8Array {
  const raw = resourceFromJson({ "@type": type.typeUrl, ...json });
  assert.ok(raw.ok, JSON.stringify(raw));
  return raw.value.bytes;
}

/** The configuration of a resource that has to be valid, and to survive being encoded. */
export function accept<Config>(type: ResourceType<Config>, json: object): Config {
  const decoded = type.decode(bytesOf(type, json));
  assert.ok(decoded.ok, decoded.ok ? "" : decoded.error.join("\n"));
  const again = type.decode(type.encode(decoded.value.config));
  assert.ok(again.ok, again.ok ? "" : again.error.join("\n"));
  assert.deepEqual(again.value.config, decoded.value.config);
  return decoded.value.config;
}

export function errorsOf<Config>(type: ResourceType<Config>, json: object): readonly string[] {
  const decoded = type.decode(bytesOf(type, json));
  assert.ok(!decoded.ok, "was accepted");
  return decoded.error;
}

/** Paths of what was accepted without effect, sorted. */
export function reportsOf<Config>(type: ResourceType<Config>, json: object): readonly string[] {
  const decoded = type.decode(bytesOf(type, json));
  assert.ok(decoded.ok, decoded.ok ? "" : decoded.error.join("\n"));
  return decoded.value.unhonoured.map((report: FieldReport) => report.path).sort();
}
