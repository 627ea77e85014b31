import { err, ok, type Result } from "@heddle/base";

/**
 * Formats of `%START_TIME(…)%`: strftime's letters that need no locale, and Abseil's `%E3S` as Envoy takes them. Always UTC.
 * Without a format: "2026-01-01T00:00:00.000Z".
 */
export function compileTimeFormat(format: string): Result<(wallMs: number) => string, string> {
  if (format === "") return ok(iso);
  const parts: ((date: Date) => string)[] = [];
  // A letter may have a width before it: %3f, %E6S.
  for (const [whole, width, letter, text] of format.matchAll(/%(E?[\d*]?)([A-Za-z%])|([^%]+|%)/g)) {
    if (text !== undefined) {
      parts.push(() => text);
      continue;
    }
    const field = fieldOf(letter ?? "", width ?? "");
    if (field === undefined) return err(`the time format "${format}" has ${whole}, which is not known`);
    parts.push(field);
  }
  return ok((wallMs) => {
    const date = new Date(wallMs);
    return parts.reduce((text, part) => text + part(date), "");
  });
}

let cachedMs = Number.NaN;
let cached = "";

// Many exchanges begin in the same millisecond under load, and formatting a date is dear.
function iso(wallMs: number): string {
  const ms = Math.floor(wallMs);
  if (ms !== cachedMs) {
    cached = new Date(ms).toISOString();
    cachedMs = ms;
  }
  return cached;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function fieldOf(letter: string, width: string): ((date: Date) => string) | undefined {
  if (letter === "f") return fraction(width === "" ? 9 : Number(width));
  if (letter === "S" && width.startsWith("E")) {
    const digits = Number(width.slice(1));
    const parts = fraction(digits);
    return Number.isInteger(digits) && digits > 0
      ? (date) => `${two(date.getUTCSeconds())}.${parts?.(date)}`
      : undefined;
  }
  return width === "" ? SIMPLE[letter] : undefined;
}

/** The start of an exchange is known to the millisecond; further digits are zeros. */
function fraction(digits: number): ((date: Date) => string) | undefined {
  if (!Number.isInteger(digits) || digits < 1 || digits > 9) return undefined;
  return (date) => String(date.getUTCMilliseconds()).padStart(3, "0").padEnd(9, "0").slice(0, digits);
}

const SIMPLE: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, " "),
  H: (date) => two(date.getUTCHours()),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  a: (date) => DAYS[date.getUTCDay()]!, // seven days
  b: (date) => MONTHS[date.getUTCMonth()]!, // twelve months
  z: () => "+0000",
  Z: () => "UTC",
  "%": () => "%",
};

function two(number: number): string {
  return String(number).padStart(2, "0");
}
