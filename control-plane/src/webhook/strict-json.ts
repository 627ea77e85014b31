import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";

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
  const written = structureOf(text, limits);
  if (!written.ok) return written;
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch (error) {
    // V8's message quotes the text, which may hold secrets.
    const at = /position (\d+)/.exec((error as Error).message)?.[1];
    return err(`is no JSON${at === undefined ? "" : ` (character ${at})`}`);
  }
  const keys = keysIn(json);
  if (keys === undefined) return err('the key "__proto__" is not allowed');
  // Of a key that stands twice the parser has kept one. To look for it in every text would cost more than parsing does.
  return keys === written.value ? ok(json) : err(`the key ${repeatedKey(text)} stands twice in one object`);
}

/**
 * How many keys are written. Looks at brackets, commas and quotes, without recursion. Of a text that is no JSON it may say
 * anything: `JSON.parse` will refuse it. It goes first, since what is nested a million times over costs memory once it is parsed.
 */
function structureOf(text: string, { maxDepth, maxValues }: JsonLimits): Result<number, string> {
  let depth = 0;
  let keys = 0;
  let values = 1;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (isKey(text, end)) keys += 1;
        at = end - 1;
        break;
      }
      case OPEN_BRACE:
      case OPEN_BRACKET:
        depth += 1;
        values += 1;
        if (depth > maxDepth) return err(`is nested deeper than ${maxDepth} levels`);
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth -= 1;
        break;
      case COMMA:
        values += 1;
        break;
    }
    if (values > maxValues) return err(`has more than ${maxValues} values`);
  }
  return ok(keys);
}

/** How many keys all objects have together; undefined: one of them is "__proto__". At most as deep as the limits allow. */
function keysIn(json: Json): number | undefined {
  let keys = 0;
  if (Array.isArray(json)) {
    for (const item of json as readonly Json[]) {
      const within = typeof item === "object" ? keysIn(item) : 0;
      if (within === undefined) return undefined;
      keys += within;
    }
  } else if (isJsonObject(json)) {
    for (const key in json) {
      if (key === "__proto__") return undefined;
      const value = json[key]!;
      const within = typeof value === "object" ? keysIn(value) : 0;
      if (within === undefined) return undefined;
      keys += 1 + within;
    }
  }
  return keys;
}

/** The first key of a JSON text that stands twice in its object, as JSON. */
function repeatedKey(text: string): string {
  /** Of each object that is open, its keys; of a list undefined. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === OPEN_BRACE) open.push(new Set());
    else if (code === OPEN_BRACKET) open.push(undefined);
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) open.pop();
    else if (code === QUOTE) {
      const end = endOfString(text, at);
      const keys = open.at(-1);
      if (keys !== undefined && isKey(text, end)) {
        const key = JSON.parse(text.slice(at, end)) as string;
        if (keys.has(key)) return JSON.stringify(shortened(key));
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return "?"; // there is one, or nobody would ask
}

const [QUOTE, COMMA, BACKSLASH, COLON] = [0x22, 0x2c, 0x5c, 0x3a];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

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

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
