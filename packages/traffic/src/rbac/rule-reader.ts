import { isJsonObject, type Json, type JsonObject } from "@heddle/base";

/** One thing that is wrong with a configuration: where (relative to the filter's), what was found and what is allowed. */
export interface RuleIssue {
  readonly path: string;
  readonly message: string;
}

/** What rules are about: whole requests, or connections, which have no headers and no path. */
export type RuleScope = "http" | "network";

/**
 * Reads rules out of a filter's proto JSON. Collects everything that is wrong; what is read then is only good for going on. What
 * is not known is an error: a rule that is not understood must not decide.
 */
export class RuleReader {
  readonly scope: RuleScope;
  readonly issues: RuleIssue[] = [];
  #depth = 0;

  constructor(scope: RuleScope) {
    this.scope = scope;
  }

  /** The value that stands for what could not be read. */
  fail<T>(path: string, message: string, instead: T): T {
    this.issues.push({ path, message });
    return instead;
  }

  object(json: Json | undefined, path: string): JsonObject {
    if (isJsonObject(json)) return json;
    return this.fail(path, `found ${found(json)}, needed is an object`, {});
  }

  /** A repeated message. An empty one is left out of proto JSON. */
  list(json: Json | undefined, path: string, needed: number): readonly Json[] {
    const items = Array.isArray(json) ? json : [];
    if (json !== undefined && !Array.isArray(json))
      return this.fail(path, `found ${found(json)}, needed is a list`, []);
    if (items.length >= needed) return items;
    return this.fail(
      path,
      `holds ${items.length}, needed ${needed === 1 ? "is one" : `are ${needed}`} at least`,
      items,
    );
  }

  /** The items of a set of rules within a rule (`rules`, `ids`): one at least. */
  set<T>(json: Json | undefined, path: string, field: string, read: (item: Json, path: string) => T): readonly T[] {
    const at = below(path, field);
    return this.deeper(at, [], () =>
      this.list(this.object(json, path)[field], at, 1).map((item, index) => read(item, `${at}[${index}]`)),
    );
  }

  text(json: Json | undefined, path: string): string {
    if (typeof json === "string" && json !== "") return json;
    return this.fail(path, `found ${found(json)}, needed is a text`, "");
  }

  /**
   * The one field of a `oneof` that is set. Undefined: none is, or several are, or one that is not known, and an issue says so.
   * `besides` are fields that may stand beside it.
   */
  choice(
    fields: JsonObject,
    path: string,
    known: readonly string[],
    besides: readonly string[] = [],
  ): string | undefined {
    const set = Object.keys(fields).filter((name) => fields[name] !== undefined && !besides.includes(name));
    const [first] = set;
    if (set.length === 1 && first !== undefined && known.includes(first)) return first;
    const what = set.length === 0 ? "nothing" : set.join(" and ");
    return this.fail(path, `found ${what}, needed is one of ${known.join(", ")}`, undefined);
  }

  /** Rules lie in each other; `read` reads what lies one level deeper. */
  deeper<T>(path: string, instead: T, read: () => T): T {
    if (this.#depth >= MAX_DEPTH) return this.fail(path, `lies deeper than ${MAX_DEPTH} levels`, instead);
    this.#depth++;
    const result = read();
    this.#depth--;
    return result;
  }
}

/** As deep as protobuf's own limit lets messages lie in each other. */
const MAX_DEPTH = 100;

/** What stands there, for messages. */
export function found(json: Json | undefined): string {
  if (json === undefined) return "nothing";
  const text = JSON.stringify(json);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

/** A text or a number as text; "" for what is neither. */
export function plain(json: Json | undefined): string {
  return typeof json === "string" || typeof json === "number" ? String(json) : "";
}

export function below(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** The type in an Any, and its fields. */
export function openJsonAny(
  json: Json | undefined,
  path: string,
  reader: RuleReader,
): { readonly type: string; readonly fields: JsonObject } {
  const { "@type": url, ...fields } = reader.object(json, path);
  const text = reader.text(url, below(path, "@type"));
  const type = text.slice(text.lastIndexOf("/") + 1);
  return { type, fields };
}
