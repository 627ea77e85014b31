import { err, type Json, ok, type Result } from "@heddle/base";

/** Bounds on a JSON text, so that none can stop the program that reads it. */
export interface JsonLimits {
  /** Objects and lists within each other. */
  readonly maxDepth: number;
  /** Values, over the whole text. */
  readonly maxValues: number;
}

/** A pod has 12 levels and a few thousand values; a custom resource may have an OpenAPI schema in it. */
export const DEFAULT_JSON_LIMITS: JsonLimits = { maxDepth: 100, maxValues: 200_000 };

/**
 * Reads a JSON text that means one thing to everybody who reads it: a key that stands twice in its object is an error
 * (RFC 8259 §4: readers differ in which of them counts), and so is "__proto__". The error holds nothing of the text but keys.
 */
export function parseStrictJson(text: string, limits: JsonLimits = DEFAULT_JSON_LIMITS): Result<Json, string> {
  const fault = structureFault(text, limits);
  if (fault !== undefined) return err(fault);
  try {
    return ok(JSON.parse(text) as Json);
  } catch (error) {
    // V8's message quotes the text, which may hold secrets.
    const at = /position (\d+)/.exec((error as Error).message)?.[1];
    return err(`is no JSON${at === undefined ? "" : ` (character ${at})`}`);
  }
}

/**
 * Looks at brackets, commas and keys, without recursion. Of a text that is no JSON it may say nothing: `JSON.parse` will. It
 * goes first, since what is nested a million times over costs memory once it is parsed.
 */
function structureFault(text: string, { maxDepth, maxValues }: JsonLimits): string | undefined {
  /** Of each object that is open, its keys; of a list undefined. */
  const open: (Keys | undefined)[] = [];
  let values = 1;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        const keys = open[open.length - 1];
        if (keys !== undefined && isKey(text, end)) {
          const key = keyOf(text.slice(at, end));
          if (key === "__proto__") return 'the key "__proto__" is not allowed';
          if (!keys.add(key)) return `the key ${JSON.stringify(shortened(key))} stands twice in one object`;
        }
        at = end - 1;
        break;
      }
      case OPEN_BRACE:
      case OPEN_BRACKET:
        open.push(text.charCodeAt(at) === OPEN_BRACE ? new Keys() : undefined);
        values += 1;
        if (open.length > maxDepth) return `is nested deeper than ${maxDepth} levels`;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        break;
      case COMMA:
        values += 1;
        break;
    }
    if (values > maxValues) return `has more than ${maxValues} values`;
  }
  return undefined;
}

const [QUOTE, COMMA, BACKSLASH, COLON] = [0x22, 0x2c, 0x5c, 0x3a];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

/** Most objects have a few keys, and a Set for each would be most of what the reading costs. */
class Keys {
  readonly #few: string[] = [];
  #many: Set<string> | undefined;

  /** False: it is there already. */
  add(key: string): boolean {
    if (this.#many === undefined) {
      if (this.#few.includes(key)) return false;
      if (this.#few.push(key) > 12) this.#many = new Set(this.#few);
      return true;
    }
    if (this.#many.has(key)) return false;
    this.#many.add(key);
    return true;
  }
}

/** Behind the closing quote, or the text's end. Most of a text is in strings, and looking for the quote passes them quickly. */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let first = at;
    while (text.charCodeAt(first - 1) === BACKSLASH) first -= 1;
    if ((at - first) % 2 === 0) return at + 1;
  }
  return text.length;
}

/** Whether a colon comes next: a string in an object is either a key or a value. */
function isKey(text: string, from: number): boolean {
  let at = from;
  let code = text.charCodeAt(at);
  while (code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d) code = text.charCodeAt((at += 1));
  return code === COLON;
}

/** @param literal with its quotes; "a" and "\u0061" are one key. */
function keyOf(literal: string): string {
  if (!literal.includes("\\")) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal; // no JSON: whoever parses the text says so
  }
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
