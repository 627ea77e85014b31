import { fieldOf, type Message } from "@heddle/proto";
import type { RuntimeLayer } from "@heddle/traffic";
import { readConfigSource } from "./config-source.ts";
import { Fields, Findings } from "./fields.ts";
import type { FieldReport } from "./resource-type.ts";
import { flattenRuntime } from "./runtime.ts";

const LAYERED_RUNTIME = "envoy.config.bootstrap.v3.LayeredRuntime";

export interface LayeredRuntimeReading {
  readonly layers: readonly RuntimeLayer[];
  /** Each begins with its path. */
  readonly errors: readonly string[];
  readonly unhonoured: readonly FieldReport[];
}

/** `layered_runtime` of `envoy.config.bootstrap.v3.Bootstrap`. */
export function decodeLayeredRuntime(bootstrap: Message): LayeredRuntimeReading {
  const findings = new Findings();
  const message = fieldOf(bootstrap, "layered_runtime") as Message | undefined;
  const fields = message && new Fields(LAYERED_RUNTIME, message, "layered_runtime", findings);
  const names = new Set<string>();
  const layers = (fields?.messages("layers") ?? []).map((layer) => {
    const name = layer.text("name");
    if (names.has(name)) layer.fail("name", `there are two layers named ${JSON.stringify(name)}`);
    names.add(name);
    return decodeLayer(layer, name);
  });
  if (layers.filter(({ type }) => type === "admin").length > 1)
    fields?.fail("layers", "holds more than one admin_layer");
  return { layers, errors: findings.errors, unhonoured: findings.unhonoured };
}

function decodeLayer(layer: Fields, name: string): RuntimeLayer {
  const rtds = layer.message("rtds_layer");
  if (rtds !== undefined) {
    const resource = rtds.text("name");
    if (resource === "") rtds.fail("name", "is empty, allowed is at least 1 character");
    return { name, type: "rtds", resource, source: readConfigSource(rtds, "rtds_config") };
  }
  const disk = layer.message("disk_layer");
  if (disk !== undefined) {
    const root = disk.text("symlink_root");
    if (root === "") disk.fail("symlink_root", "is empty, allowed is a path");
    const subfolder = disk.text("subdirectory");
    return { name, type: "disk", root, subfolder, byCluster: disk.flag("append_service_cluster") };
  }
  if (layer.message("admin_layer") !== undefined) return { name, type: "admin" };
  const { values, faults } = flattenRuntime(layer.struct("static_layer") ?? {});
  for (const { key, fault } of faults) layer.fail(`static_layer.${key}`, fault);
  return { name, type: "static", values };
}
