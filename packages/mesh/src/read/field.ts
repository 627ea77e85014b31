import type { Json } from "@heddle/base";
import type { Diagnostic, YamlDocument } from "@heddle/config";
import type { Origin } from "../model/origin.ts";

/** Kubernetes ignores fields that it does not know, so we only warn; a kind of ours has no others. */
export type UnknownFields = "warning" | "error";

/**
 * A field of a document that is being read. Whatever is wrong with it is added to the document's diagnostics, with its
 * place, and reading goes on with a harmless value: so all faults of a document are found in one pass, and whoever
 * reads looks at the diagnostics at the end.
 */
export class Field {
  readonly path: string;
  /** Undefined where the field is absent; null counts as absent, as in Kubernetes. */
  readonly value: Json | undefined;
  readonly #document: YamlDocument;
  readonly #diagnostics: Diagnostic[];
  readonly #unknown: UnknownFields;

  private constructor(
    document: YamlDocument,
    diagnostics: Diagnostic[],
    unknown: UnknownFields,
    path: string,
    value: Json | undefined,
  ) {
    this.#document = document;
    this.#diagnostics = diagnostics;
    this.#unknown = unknown;
    this.path = path;
    this.value = value ?? undefined;
  }

  static root(document: YamlDocument, diagnostics: Diagnostic[], unknown: UnknownFields): Field {
    return new Field(document, diagnostics, unknown, "", document.json);
  }

  /** The same field, of a kind whose unknown fields are treated so. */
  treatingUnknown(unknown: UnknownFields): Field {
    return new Field(this.#document, this.#diagnostics, unknown, this.path, this.value);
  }

  get present(): boolean {
    return this.value !== undefined;
  }

  get origin(): Origin {
    return { file: this.#document.file, ...this.#document.positionOf(this.path), path: this.path };
  }

  error(message: string): void {
    this.#diagnostics.push(this.#document.diagnostic(this.path, message));
  }

  warn(message: string): void {
    this.#diagnostics.push(this.#document.diagnostic(this.path, message, "warning"));
  }

  /** The fields of an object, of which `names` are all that there may be. Each is a field, present or not. */
  object<const Name extends string>(...names: readonly Name[]): Readonly<Record<Name, Field>> {
    const object = this.#object();
    const known = new Set<string>(names);
    for (const name of Object.keys(object)) if (!known.has(name)) this.#reportUnknown(name, names);
    const fields = {} as Record<Name, Field>;
    for (const name of names) fields[name] = this.#child(name, object[name]);
    return fields;
  }

  /** As `object`, for parts of a foreign object that are none of our business: what else it holds is not looked at. */
  pick<const Name extends string>(...names: readonly Name[]): Readonly<Record<Name, Field>> {
    const object = this.#object();
    const fields = {} as Record<Name, Field>;
    for (const name of names) fields[name] = this.#child(name, object[name]);
    return fields;
  }

  /** The fields of an object whose names are the user's own. */
  entries(): readonly (readonly [name: string, field: Field])[] {
    return Object.entries(this.#object()).map(([name, value]) => [name, this.#child(name, value)] as const);
  }

  items(): readonly Field[] {
    if (this.value === undefined) return [];
    if (!Array.isArray(this.value)) {
      this.#wrongType("a list");
      return [];
    }
    return this.value.map(
      (item: Json, index) =>
        new Field(this.#document, this.#diagnostics, this.#unknown, `${this.path}[${index}]`, item),
    );
  }

  /** A map of texts, such as labels. */
  texts(): Readonly<Record<string, string>> {
    const texts: Record<string, string> = {};
    for (const [key, value] of Object.entries(this.#object())) {
      if (typeof value === "string") texts[key] = value;
      else this.#child(key, value).#wrongType("text (put it in quotes)");
    }
    return texts;
  }

  text(): string | undefined {
    if (this.value === undefined) return undefined;
    if (typeof this.value !== "string") this.#wrongType("text");
    // Half a pair of surrogates ("\ud83d"): no message can carry it.
    else if (!this.value.isWellFormed()) this.error("is no Unicode text");
    else return this.value;
    return undefined;
  }

  /** As `text`; absent or empty is an error. */
  requiredText(): string {
    const text = this.text();
    if (this.value === undefined || text === "") this.error("is missing");
    return text ?? "";
  }

  /** An error where it is text of more bytes (UTF-8). */
  limit(bytes: number): void {
    const found = typeof this.value === "string" ? Buffer.byteLength(this.value) : 0;
    if (found > bytes) this.error(`has ${found} bytes, allowed: ${bytes}`);
  }

  integer(min: number, max: number): number | undefined {
    if (this.value === undefined) return undefined;
    if (typeof this.value === "number" && Number.isInteger(this.value) && this.value >= min && this.value <= max)
      return this.value;
    this.#wrongType(`${min} to ${max}`);
    return undefined;
  }

  oneOf<const Value extends string | boolean>(...allowed: readonly Value[]): Value | undefined {
    if (this.value === undefined) return undefined;
    const found = allowed.find((value) => value === this.value);
    if (found === undefined) this.#wrongType(allowed.map((value) => JSON.stringify(value)).join(", "));
    return found;
  }

  #object(): Readonly<Record<string, Json>> {
    if (this.value === undefined) return {};
    if (typeof this.value === "object" && this.value !== null && !Array.isArray(this.value))
      return this.value as Readonly<Record<string, Json>>;
    this.#wrongType("an object");
    return {};
  }

  #child(name: string, value: Json | undefined): Field {
    const step = /^[\w-]+$/.test(name) ? (this.path === "" ? name : `.${name}`) : `["${name}"]`;
    return new Field(this.#document, this.#diagnostics, this.#unknown, `${this.path}${step}`, value);
  }

  #reportUnknown(name: string, allowed: readonly string[]): void {
    const field = this.#child(name, undefined);
    const message =
      this.#unknown === "error"
        ? `is not a field here; allowed are ${allowed.join(", ")}`
        : `has no effect; Heddle reads ${allowed.join(", ")}`;
    if (this.#unknown === "error") field.error(message);
    else field.warn(message);
  }

  #wrongType(allowed: string): void {
    const text = JSON.stringify(this.value) ?? "nothing";
    const found = text.length > 60 ? `${text.slice(0, 57)}...` : text;
    this.error(`found ${found}, allowed: ${allowed}`);
  }
}
