import { fromProtoJson } from "@heddle/proto";

/*
 * Configurations are encoded by way of proto JSON: the encoders then read like the YAML that people write, and names of
 * fields and enums are checked. Canonical, since fields are written in the order of their numbers and maps sorted.
 */

/** JSON in the making: what is undefined is not set. */
export type LooseJson = undefined | null | boolean | number | string | readonly LooseJson[] | LooseJsonObject;
export interface LooseJsonObject {
  readonly [key: string]: LooseJson;
}

/** Throws where the configuration cannot be said in that message: it came from no decoder of ours then. */
export function encodeJson(typeName: string, json: LooseJsonObject): Uint8Array {
  const bytes = fromProtoJson(typeName, json);
  if (bytes.ok) return bytes.value;
  const issues = bytes.error.map((issue) => `${issue.path}: ${issue.message}`);
  throw new Error(`cannot be encoded as ${typeName}: ${issues.join("; ")}`);
}

/** The value, or nothing where it is what the proto has anyway. */
export function unless<T>(standard: T, value: T): T | undefined {
  return value === standard ? undefined : value;
}

/** "1.5s" */
export function duration(ms: number): string {
  return `${(ms / 1000).toFixed(9).replace(/\.?0+$/, "")}s`;
}

/** A duration, or nothing where it is what the proto has anyway. */
export function durationUnless(standardMs: number, ms: number): string | undefined {
  return ms === standardMs ? undefined : duration(ms);
}

export function durationIfSet(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : duration(ms);
}

/** An `envoy.type.v3.Percent`, or nothing where it is 0. */
export function encodePercent(percent: number): LooseJson {
  return percent === 0 ? undefined : { value: percent };
}

/** The list, or nothing where it is empty. */
export function list<T extends LooseJson>(items: readonly T[]): readonly T[] | undefined {
  return items.length === 0 ? undefined : items;
}
