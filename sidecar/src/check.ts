import { dirname, resolve } from "node:path";
import type { Result } from "@heddle/base";
import { type BootstrapOptions, type BootstrapReading, type Diagnostic, readBootstrap } from "@heddle/config";
import { type DataReader, httpFilterRegistry, makeResourceTypes, type ResourceTypes } from "@heddle/xds";
import { builtInFilters } from "./traffic/filter/built-in-filters.ts";
import { FilterModules } from "./traffic/filter/filter-modules.ts";
import { builtInGates } from "./traffic/network/built-in-gates.ts";

/* What a sidecar says of configuration, without running one: the door `@heddle/sidecar/check`. */

/**
 * The resource types as a sidecar reads them, with all its HTTP filters but those of these names. Modules are loaded when
 * they are named. `data` reads certificates, keys and what filters name; left out, they are another machine's.
 * `withoutSocketOptions`: what needs them is refused.
 */
export function sidecarResourceTypes(
  filterFolder: string,
  disabled: readonly string[] = [],
  data?: DataReader,
  withoutSocketOptions = false,
): ResourceTypes {
  const filters = allFilters(filterFolder, data).filter(({ name }) => !disabled.includes(name));
  const options = { httpFilters: httpFilterRegistry(filters), networkFilters: builtInGates(), withoutSocketOptions };
  return makeResourceTypes({ ...options, ...(data && { data }) });
}

/** Those of the names that are no HTTP filter's: only these can be disabled. */
export function notDisabled(names: readonly string[]): string[] {
  const known = new Set(allFilters(".").map(({ name }) => name));
  return names.filter((name) => !known.has(name));
}

function allFilters(filterFolder: string, data?: DataReader) {
  return [...builtInFilters(new FilterModules(filterFolder, { loadOnParse: true }), data)];
}

/** Everything that is wrong with a bootstrap, and everything in it that has no effect, in the order of the file. */
export function checkBootstrap(file: string, text: string, options: BootstrapOptions = {}): readonly Diagnostic[] {
  return diagnosticsOf(readBootstrap(file, text, sidecarResourceTypes(resolve(dirname(file))), options));
}

export function diagnosticsOf(reading: Result<BootstrapReading, readonly Diagnostic[]>): readonly Diagnostic[] {
  return reading.ok ? reading.value.warnings : reading.error;
}

/** What a sidecar says of one resource. Paths are within the resource. */
export interface ResourceVerdict {
  /** Why it would refuse it: "lb_policy: …". */
  readonly refusals: readonly string[];
  /** What in it has no effect. */
  readonly unhonoured: readonly { readonly path: string; readonly note: string }[];
}

/** Undefined: a sidecar asks for no resource of that type. */
export function checkResource(types: ResourceTypes, typeUrl: string, bytes: Uint8Array): ResourceVerdict | undefined {
  const type = Object.values(types).find((candidate) => candidate.typeUrl === typeUrl);
  if (type === undefined) return undefined;
  const decoded = type.decode(bytes);
  return decoded.ok
    ? { refusals: [], unhonoured: decoded.value.unhonoured }
    : { refusals: decoded.error, unhonoured: [] };
}
