import type { HeaderNaming } from "./h1/header-names.ts";

/**
 * Header or trailer fields in the order in which they came (RFC 9110 §5.3). Names are lower case always: the parser
 * lowers them, and code that adds a field writes it so. Values are strings of latin1 characters without surrounding
 * white space, so that bytes above 0x7f pass through unchanged.
 *
 * `fields` is flat (name, value, name, value …): an exchange has some ten fields, and a linear scan over one array
 * beats any index that would have to be built for each request.
 */
export class HeaderMap {
  readonly fields: string[];
  /** How an HTTP/1 codec writes the names, of a head whose spelling is to be kept. Undefined: as the codec always does. */
  naming: HeaderNaming | undefined = undefined;
  /** Names of fields that no HPACK encoder on the way may index (RFC 7541 §7.1.3): an h2 peer sent them so. */
  neverIndexed: readonly string[] | undefined = undefined;

  constructor(fields: string[] = []) {
    this.fields = fields;
  }

  static from(entries: Readonly<Record<string, string>>): HeaderMap {
    return new HeaderMap(Object.entries(entries).flatMap(([name, value]) => [name.toLowerCase(), value]));
  }

  /** Number of fields, repeated names counted each time. */
  get size(): number {
    return this.fields.length / 2;
  }

  /** The first value of that name. */
  get(name: string): string | undefined {
    const { fields } = this;
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
    return undefined;
  }

  has(name: string): boolean {
    const { fields } = this;
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return true;
    return false;
  }

  getAll(name: string): string[] {
    const values: string[] = [];
    const { fields } = this;
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) values.push(fields[i + 1]!); // values stand at odd places
    return values;
  }

  /** All values of that name joined by a comma without a space, as one who reads a repeated field as a list sees it. */
  joined(name: string): string | undefined {
    const { fields } = this;
    let value: string | undefined;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] === name) value = value === undefined ? fields[i + 1] : `${value},${fields[i + 1]}`;
    }
    return value;
  }

  /** By index, which is compiled in place: `push` of two is a call of 130 instructions, and a request gets six such fields. */
  append(name: string, value: string): void {
    const { fields } = this;
    const at = fields.length;
    fields[at] = name;
    fields[at + 1] = value;
  }

  /** Leaves exactly one field of that name, at the place of the first. */
  set(name: string, value: string): void {
    const { fields } = this;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] === name) {
        fields[i + 1] = value;
        this.#removeFrom(name, i + 2);
        return;
      }
    }
    this.append(name, value);
  }

  /** Removes every field of that name. True if there was one. */
  remove(name: string): boolean {
    return this.#removeFrom(name, 0);
  }

  #removeFrom(name: string, from: number): boolean {
    const { fields } = this;
    let kept = from;
    for (let i = from; i < fields.length; i += 2) {
      if (fields[i] === name) continue;
      if (kept !== i) {
        fields[kept] = fields[i]!;
        fields[kept + 1] = fields[i + 1]!;
      }
      kept += 2;
    }
    const removed = kept !== fields.length;
    while (fields.length > kept) fields.pop(); // to set the length is a call into the engine
    return removed;
  }

  clone(): HeaderMap {
    const clone = new HeaderMap(this.fields.slice());
    clone.naming = this.naming;
    clone.neverIndexed = this.neverIndexed;
    return clone;
  }
}
