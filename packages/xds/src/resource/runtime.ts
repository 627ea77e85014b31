import { err, type Json, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import type { RuntimeLayerConfig, RuntimeValues } from "@heddle/traffic";
import { encodeJson } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";

export const RUNTIME = "envoy.service.runtime.v3.Runtime";

/** RTDS: one layer of the runtime. */
export const runtimeType: ResourceType<RuntimeLayerConfig> = {
  typeUrl: `type.googleapis.com/${RUNTIME}`,
  kind: "runtime",
  completeInSotw: false,
  decode,
  encode: ({ name, values }) => encodeJson(RUNTIME, { name, layer: values }),
  nameOf: (config) => config.name,
  references: () => [],
};

function decode(bytes: Uint8Array): Result<Decoded<RuntimeLayerConfig>, readonly string[]> {
  const message = decodeMessage(RUNTIME, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(RUNTIME, message.value));
  const fields = new Fields(RUNTIME, message.value, "", findings);
  const name = fields.text("name");
  if (name === "") fields.fail("name", "is empty, allowed is at least 1 character");
  const { values, faults } = flattenRuntime(fields.struct("layer") ?? {});
  for (const { key, fault } of faults) findings.error(`layer.${key}`, fault);
  const { errors, unhonoured } = findings;
  return errors.length > 0 ? err(errors) : ok({ config: { name, values }, unhonoured });
}

export interface FlattenedRuntime {
  readonly values: RuntimeValues;
  readonly faults: readonly { readonly key: string; readonly fault: string }[];
}

/**
 * `{ a: { b: 1 } }` as "a.b". An object with a numerator or a denominator is one value, a fraction, and so is an empty one, as in
 * Envoy; a list or null is none (Envoy's `walkProtoValue`).
 */
export function flattenRuntime(json: { readonly [key: string]: Json }): FlattenedRuntime {
  const values: Record<string, Json> = {};
  const faults: { key: string; fault: string }[] = [];
  const walk = (value: Json, key: string): void => {
    if (value === null || Array.isArray(value)) {
      const found = value === null ? "null" : "a list";
      faults.push({ key, fault: `found ${found}, allowed are numbers, text, flags and fractions` });
    } else if (typeof value !== "object" || isOneValue(value)) set(values, key, value);
    else for (const [part, inner] of Object.entries(value)) walk(inner, `${key}.${part}`);
  };
  for (const [part, value] of Object.entries(json)) walk(value, part);
  return { values, faults };
}

function isOneValue(value: object): boolean {
  return "numerator" in value || "denominator" in value || Object.keys(value).length === 0;
}

/** A key "__proto__" is a key as any. */
function set(values: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(values, key, { value, enumerable: true, configurable: true, writable: true });
}
