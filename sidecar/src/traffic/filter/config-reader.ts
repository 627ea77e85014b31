import { isJsonObject, type Json, type JsonObject, parseDurationMs } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import { readStringMatcher, type StringMatcherConfig } from "@heddle/traffic";

/**
 * Reads a filter's proto JSON field by field; what is wrong is gathered, with its path. Whether values have their types has been
 * checked.
 */
export class ConfigReader {
  readonly fields: JsonObject;
  readonly issues: ConfigIssue[];
  readonly #path: string;

  constructor(json: Json | undefined, path = "", issues: ConfigIssue[] = []) {
    this.fields = asObject(json);
    this.#path = path;
    this.issues = issues;
  }

  fail(field: string, message: string): void {
    this.issues.push({ path: field === "" ? this.#path : this.#at(field), message });
  }

  text(field: string): string {
    const value = this.fields[field];
    return typeof value === "string" ? value : "";
  }

  flag(field: string, unset: boolean): boolean {
    const value = this.fields[field];
    return typeof value === "boolean" ? value : unset;
  }

  number(field: string, unset: number): number {
    const value = this.fields[field];
    return typeof value === "number" ? value : unset;
  }

  texts(field: string): readonly string[] {
    const value = this.fields[field];
    return Array.isArray(value) ? value.filter((item: unknown) => typeof item === "string") : [];
  }

  textMap(field: string): Readonly<Record<string, string>> {
    return asObject(this.fields[field]) as Readonly<Record<string, string>>;
  }

  object(field: string): ConfigReader | undefined {
    const value = this.fields[field];
    return isJsonObject(value) ? new ConfigReader(value, this.#at(field), this.issues) : undefined;
  }

  objects(field: string): readonly ConfigReader[] {
    const value = this.fields[field];
    const items: readonly Json[] = Array.isArray(value) ? value : [];
    return items.map((item, index) => new ConfigReader(item, `${this.#at(field)}[${index}]`, this.issues));
  }

  /** In ms; 0 is no limit. */
  duration(field: string, unset: number): number {
    const value = this.fields[field];
    if (typeof value !== "string") return unset;
    const ms = parseDurationMs(value);
    if (ms.ok) return ms.value;
    this.fail(field, `found ${value}, allowed are durations that are not negative`);
    return unset;
  }

  /** A `ListStringMatcher`. Undefined: it is not set. */
  matchers(field: string): readonly StringMatcherConfig[] | undefined {
    const list = this.object(field);
    return list?.objects("patterns").flatMap((pattern) => {
      const matcher = readStringMatcher(pattern.fields);
      if (matcher.ok) return [matcher.value];
      pattern.fail("", matcher.error);
      return [];
    });
  }

  #at(field: string): string {
    return this.#path === "" ? field : `${this.#path}.${field}`;
  }
}

function asObject(json: Json | undefined): JsonObject {
  return isJsonObject(json) ? json : {};
}
