import { isJsonObject, type JsonObject } from "@heddle/base";

/** As protocol buffers have it. Whoever walks through claims later does so by recursion. */
const MAX_DEPTH = 100;

/**
 * The object that UTF-8 bytes are the JSON of. Undefined: they are none, or one that readers differ about: a name stands twice
 * (RFC 7519 §4, RFC 8259 §4), it is not UTF-8, or is nested more than a hundred deep.
 */
export function readStrictJson(bytes: Uint8Array): JsonObject | undefined {
  try {
    const text = DECODER.decode(bytes);
    const value = JSON.parse(text) as unknown;
    return isJsonObject(value) && isUnambiguous(text) ? value : undefined;
  } catch {
    return undefined;
  }
}

// A byte order mark is no part of JSON (RFC 8259 §8.1): kept, it fails to parse.
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Goes through text that is JSON, by its strings and brackets alone. */
function isUnambiguous(text: string): boolean {
  /** Of the objects that are open the names so far; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) {
      const start = at;
      at = endOfString(text, at);
      const names = open.at(-1);
      if (names === undefined || !isName(text, at)) continue;
      const name = JSON.parse(text.slice(start, at + 1)) as string;
      if (names.has(name)) return false;
      names.add(name);
    } else if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      if (open.length === MAX_DEPTH) return false;
      open.push(character === OPEN_BRACE ? new Set() : undefined);
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) open.pop();
  }
  return true;
}

/** Where the string ends that begins there. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}

/** Whether the string that ends there is a name: a colon follows. */
function isName(text: string, end: number): boolean {
  let at = end + 1;
  while (text.charCodeAt(at) <= SPACE) at++;
  return text.charCodeAt(at) === COLON;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SPACE = 0x20;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
