import type { Json } from "@heddle/base";
import type { Diagnostic } from "./diagnostic.ts";
import { comparable, type Position, positionAt, splitPath } from "./document-path.ts";
import type { YamlDocument } from "./yaml-document.ts";

/** Short of the stack; what is deeper is for the YAML reader to refuse. */
export const MAX_JSON_DEPTH = 90;

/**
 * A text that is one JSON object, read as JSON. Undefined: it is something else, or holds what YAML reads with more care (a
 * key that stands twice, a number beyond 2^53): then the YAML reader says what it is.
 *
 * JSON is YAML, but reading it as such takes a hundred times as long: 2 s for the 10,000 endpoints that a program writes.
 */
export function parseJsonDocument(file: string, text: string): YamlDocument | undefined {
  return /^\s*\{/.test(text) ? readPart(file, text, { start: 0, end: text.length }) : undefined;
}

/** A part of a text, from `start` to before `end`; `document` undefined: no JSON, or to be read with more care. */
export interface JsonPart {
  readonly start: number;
  readonly end: number;
  readonly document: YamlDocument | undefined;
}

/** A text of several JSON objects one after the other, as kubectl takes them and as no YAML is. Undefined: it is something else. */
export function parseJsonParts(file: string, text: string): readonly JsonPart[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const [first, second, ...more] = partsOf(text);
  // Behind a JSON object that is whole no YAML can begin another one.
  if (first === undefined || second === undefined || readJson(text, first) === undefined) return undefined;
  return [first, second, ...more].map((part) => ({ ...part, document: readPart(file, text, part) }));
}

interface Part {
  readonly start: number;
  readonly end: number;
}

function readPart(file: string, text: string, part: Part): YamlDocument | undefined {
  const read = readJson(text, part);
  if (read === undefined) return undefined;
  const scanner = new Scanner(text, part.start);
  return scanner.isPlain() ? new JsonDocument(file, text, read.json, scanner) : undefined;
}

function readJson(text: string, { start, end }: Part): { readonly json: Json } | undefined {
  try {
    return { json: JSON.parse(text.slice(start, end)) as Json };
  } catch {
    return undefined;
  }
}

const NEXT_OBJECT = /\s*\{/y;

/** Cuts a text where an object ends and another one begins, by brackets outside of strings; the last part is whatever is left. */
function partsOf(text: string): readonly Part[] {
  const parts: Part[] = [];
  let [start, depth, isText] = [0, 0, false];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (isText) {
      if (char === "\\") at += 1;
      else if (char === '"') isText = false;
    } else if (char === '"') isText = true;
    else if (char === "{" || char === "[") depth += 1;
    else if ((char === "}" || char === "]") && --depth <= 0) {
      parts.push({ start, end: at + 1 });
      [start, depth] = [at + 1, 0];
      NEXT_OBJECT.lastIndex = start;
      if (!NEXT_OBJECT.test(text)) break;
    }
  }
  if (text.slice(start).trim() !== "") parts.push({ start, end: text.length });
  return parts;
}

class JsonDocument implements YamlDocument {
  readonly file: string;
  readonly json: Json;
  readonly #text: string;
  readonly #scanner: Scanner;
  /** Where each line begins; made when somebody asks for a place. */
  #lines: readonly number[] | undefined;

  constructor(file: string, text: string, json: Json, scanner: Scanner) {
    this.file = file;
    this.#text = text;
    this.json = json;
    this.#scanner = scanner;
  }

  positionOf(path: string): Position {
    const offset = this.#scanner.offsetOf(splitPath(path));
    this.#lines ??= [0, ...[...this.#text.matchAll(/\n/g)].map(({ index }) => index + 1)];
    return positionAt(this.#lines, offset);
  }

  diagnostic(path: string, message: string, severity: Diagnostic["severity"] = "error"): Diagnostic {
    return { severity, file: this.file, ...this.positionOf(path), path, message };
  }
}

interface Member {
  /** The item's index in a list. */
  readonly key: string;
  /** Of the key in an object, of the value in a list. */
  readonly offset: number;
  readonly valueOffset: number;
}

/** Walks over a text that is known to be JSON. */
class Scanner {
  readonly #text: string;
  readonly #start: number;
  #at: number;
  /** By where they begin: whoever asks for the places of a thousand items asks for them one by one. */
  readonly #members = new Map<number, readonly Member[]>();

  /** @param start where it begins, or the white space before it. */
  constructor(text: string, start: number) {
    this.#text = text;
    this.#start = start;
    this.#at = start;
  }

  /** Whether every key stands once in its object, and no whole number has more digits than a float. */
  isPlain(): boolean {
    this.#skipSpace();
    return this.#skipValue(0);
  }

  /** Where the field stands, or the last part of the path that does exist. */
  offsetOf(parts: readonly string[]): number {
    this.#at = this.#start;
    this.#skipSpace();
    let offset = this.#at;
    let rest = parts;
    while (rest.length > 0) {
      const opening = this.#text[this.#at];
      const step =
        opening === "{" ? this.#stepIntoObject(rest) : opening === "[" ? this.#stepIntoList(rest[0]!) : undefined;
      if (step === undefined) return offset;
      offset = step.member.offset;
      this.#at = step.member.valueOffset;
      rest = rest.slice(step.taken);
    }
    return offset;
  }

  /** The longest key that the path's next parts spell: the key "app.kubernetes.io/name" is three parts. */
  #stepIntoObject(rest: readonly string[]): { readonly member: Member; readonly taken: number } | undefined {
    let best: { readonly member: Member; readonly taken: number } | undefined;
    for (const member of this.#membersHere()) {
      const taken = member.key.split(".").length;
      if (taken > (best?.taken ?? 0) && comparable(rest.slice(0, taken).join(".")) === comparable(member.key))
        best = { member, taken };
    }
    return best;
  }

  #stepIntoList(index: string): { readonly member: Member; readonly taken: number } | undefined {
    const members = this.#membersHere();
    const member = /^\d+$/.test(index) ? members[Number(index)] : undefined;
    return member && { member, taken: 1 };
  }

  /** Of the object or list that begins here. */
  #membersHere(): readonly Member[] {
    const at = this.#at;
    const known = this.#members.get(at);
    if (known !== undefined) return known;
    const members: Member[] = [];
    const note = (key: string, member: Omit<Member, "key">): boolean => {
      members.push({ key, ...member });
      return this.#skipValue(0);
    };
    if (this.#text[at] === "{") this.#eachMember(note);
    else this.#eachItem((member) => note(String(members.length), member));
    this.#members.set(at, members);
    return members;
  }

  /** Goes behind a value. False: it is not plain. */
  #skipValue(depth: number): boolean {
    if (depth > MAX_JSON_DEPTH) return false;
    switch (this.#text[this.#at]) {
      case '"':
        this.#skipString();
        return true;
      case "{": {
        const keys = new Set<string>();
        return this.#eachMember((key) => {
          if (key === "__proto__" || keys.has(key)) return false;
          keys.add(key);
          return this.#skipValue(depth + 1);
        });
      }
      case "[":
        return this.#eachItem(() => this.#skipValue(depth + 1));
      default:
        return this.#skipWord();
    }
  }

  /** `visit` goes behind the value; where it says false the walk ends. */
  #eachMember(visit: (key: string, member: Omit<Member, "key">) => boolean): boolean {
    return this.#each("}", () => {
      const offset = this.#at;
      this.#skipString();
      const key = JSON.parse(this.#text.slice(offset, this.#at)) as string;
      this.#skipSpace();
      this.#at += 1; // the colon
      this.#skipSpace();
      return visit(key, { offset, valueOffset: this.#at });
    });
  }

  #eachItem(visit: (member: Omit<Member, "key">) => boolean): boolean {
    return this.#each("]", () => visit({ offset: this.#at, valueOffset: this.#at }));
  }

  #each(closing: string, visit: () => boolean): boolean {
    this.#at += 1; // the bracket
    this.#skipSpace();
    while (this.#text[this.#at] !== closing) {
      if (!visit()) return false;
      this.#skipSpace();
      if (this.#text[this.#at] === ",") this.#at += 1;
      this.#skipSpace();
    }
    this.#at += 1;
    return true;
  }

  #skipString(): void {
    for (this.#at += 1; this.#text[this.#at] !== '"'; this.#at += 1) if (this.#text[this.#at] === "\\") this.#at += 1;
    this.#at += 1;
  }

  /** A number, true, false or null. */
  #skipWord(): boolean {
    WORD.lastIndex = this.#at;
    const word = WORD.exec(this.#text)?.[0] ?? "";
    this.#at += word.length;
    return !/^-?\d{16,}$/.test(word) && word !== "-0";
  }

  #skipSpace(): void {
    while (SPACE.has(this.#text.charCodeAt(this.#at))) this.#at += 1;
  }
}

const WORD = /[^\s,\]}]*/y;
const SPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);
