import { err, ok, type Result } from "@heddle/base";

/** Whose calendar: UTC, or that of the process's time zone (`%START_TIME_LOCAL%`). */
export type TimeZone = "utc" | "local";

/**
 * Formats of `%START_TIME(…)%`: strftime's letters in the C locale, Envoy's `%s`, `%f` and `%3f`, and Abseil's `%E3S`,
 * `%E*S`, `%E3f`, `%E*f`, `%E4Y` and `%Ez`. Without a format: "2026-01-01T00:00:00.000Z".
 */
export function compileTimeFormat(format: string, zone: TimeZone = "utc"): Result<(wallMs: number) => string, string> {
  if (format === "" && zone === "utc") return ok(iso);
  const parts: (string | Field)[] = [];
  // A letter may have a width before it: %3f, %E6S.
  for (const [whole, width, letter, text] of (format || LOCAL_ISO).matchAll(/%(E?[\d*]?)([A-Za-z%])|([^%]+|%)/g)) {
    const part = text ?? fieldOf(letter ?? "", width ?? "");
    if (part === undefined) return err(`the time format "${format}" has ${whole}, which is not known`);
    parts.push(part);
  }
  const calendar = zone === "utc" ? utc : local;
  return ok((wallMs) => {
    const moment = calendar(wallMs);
    let result = "";
    for (const part of parts) result += typeof part === "string" ? part : part(moment);
    return result;
  });
}

const LOCAL_ISO = "%Y-%m-%dT%H:%M:%E3S%Ez";

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

/** A moment taken apart by a calendar. */
interface Moment {
  /** Since the Unix epoch, whole seconds. */
  readonly seconds: number;
  readonly year: number;
  /** From 0. */
  readonly month: number;
  readonly day: number;
  /** Sunday is 0. */
  readonly weekday: number;
  /** From 0. */
  readonly yearDay: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
  readonly offsetMinutes: number;
}

type Field = (moment: Moment) => string;

function utc(wallMs: number): Moment {
  const date = new Date(wallMs);
  return {
    seconds: Math.floor(wallMs / 1000),
    year: date.getUTCFullYear(),
    month: date.getUTCMonth(),
    day: date.getUTCDate(),
    weekday: date.getUTCDay(),
    yearDay: yearDay(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    millisecond: date.getUTCMilliseconds(),
    offsetMinutes: 0,
  };
}

function local(wallMs: number): Moment {
  const date = new Date(wallMs);
  return {
    seconds: Math.floor(wallMs / 1000),
    year: date.getFullYear(),
    month: date.getMonth(),
    day: date.getDate(),
    weekday: date.getDay(),
    yearDay: yearDay(date.getFullYear(), date.getMonth(), date.getDate()),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
    millisecond: date.getMilliseconds(),
    offsetMinutes: -date.getTimezoneOffset(),
  };
}

function yearDay(year: number, month: number, day: number): number {
  return (Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / 86_400_000;
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
  "December",
]; // biome-ignore format: a table

function fieldOf(letter: string, width: string): Field | undefined {
  if (letter === "f") return width.startsWith("E") ? extended(width.slice(1), "f") : fraction(width);
  return width.startsWith("E") ? extended(width.slice(1), letter) : width === "" ? SIMPLE[letter] : undefined;
}

/** Abseil's: `%E3S`, `%E*S` (as many digits as there are), the same with `f`; `%E4Y`, `%Ez` ("+00:00"), `%E*z`. */
function extended(width: string, letter: string): Field | undefined {
  if (letter === "Y") return width === "4" ? (m) => String(m.year).padStart(4, "0") : undefined;
  if (letter === "z") {
    if (width === "") return (m) => offset(m, ":");
    return width === "*" ? (m) => `${offset(m, ":")}:00` : undefined;
  }
  if (letter !== "S" && letter !== "f") return undefined;
  if (width === "*") {
    const all = (m: Moment): string => nanoseconds(m).replace(/0+$/, "");
    if (letter === "f") return (m) => all(m) || "0";
    return (m) => (m.millisecond === 0 ? two(m.second) : `${two(m.second)}.${all(m)}`);
  }
  const digits = width === "" ? undefined : fraction(width);
  if (digits === undefined) return undefined;
  return letter === "f" ? digits : (m) => `${two(m.second)}.${digits(m)}`;
}

/** The start of an exchange is known to the millisecond; further digits are zeros. */
function fraction(width: string): Field | undefined {
  const digits = width === "" ? 9 : Number(width);
  if (!Number.isInteger(digits) || digits < 1 || digits > 9) return undefined;
  return (m) => nanoseconds(m).slice(0, digits);
}

function nanoseconds({ millisecond }: Moment): string {
  return String(millisecond).padStart(3, "0").padEnd(9, "0");
}

const date: Field = (m) => `${m.year}-${two(m.month + 1)}-${two(m.day)}`;
const time: Field = (m) => `${two(m.hour)}:${two(m.minute)}:${two(m.second)}`;
const shortDate: Field = (m) => `${two(m.month + 1)}/${two(m.day)}/${two(m.year % 100)}`;
const weekdayName: Field = (m) => DAYS[m.weekday]!.slice(0, 3); // seven days
const monthName: Field = (m) => MONTHS[m.month]!.slice(0, 3); // twelve months
const half: Field = (m) => (m.hour < 12 ? "AM" : "PM");
const hour12 = (m: Moment): number => m.hour % 12 || 12;

const SIMPLE: Readonly<Record<string, Field>> = {
  Y: (m) => String(m.year),
  C: (m) => two(Math.floor(m.year / 100)),
  y: (m) => two(m.year % 100),
  m: (m) => two(m.month + 1),
  B: (m) => MONTHS[m.month]!,
  b: monthName,
  h: monthName,
  d: (m) => two(m.day),
  e: (m) => String(m.day).padStart(2, " "),
  j: (m) => String(m.yearDay + 1).padStart(3, "0"),
  A: (m) => DAYS[m.weekday]!,
  a: weekdayName,
  u: (m) => String(m.weekday || 7),
  w: (m) => String(m.weekday),
  U: (m) => two(Math.floor((m.yearDay + 7 - m.weekday) / 7)),
  W: (m) => two(Math.floor((m.yearDay + 7 - ((m.weekday + 6) % 7)) / 7)),
  G: (m) => String(isoWeek(m).year),
  g: (m) => two(isoWeek(m).year % 100),
  V: (m) => two(isoWeek(m).week),
  H: (m) => two(m.hour),
  I: (m) => two(hour12(m)),
  k: (m) => String(m.hour).padStart(2, " "),
  l: (m) => String(hour12(m)).padStart(2, " "),
  M: (m) => two(m.minute),
  S: (m) => two(m.second),
  p: half,
  P: (m) => half(m).toLowerCase(),
  F: date,
  D: shortDate,
  x: shortDate,
  T: time,
  X: time,
  R: (m) => `${two(m.hour)}:${two(m.minute)}`,
  r: (m) => `${two(hour12(m))}:${two(m.minute)}:${two(m.second)} ${half(m)}`,
  c: (m) => `${weekdayName(m)} ${monthName(m)} ${String(m.day).padStart(2, " ")} ${time(m)} ${m.year}`,
  s: (m) => String(m.seconds),
  z: (m) => offset(m, ""),
  Z: (m) => (m.offsetMinutes === 0 ? "UTC" : offset(m, "")),
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
};

/** ISO 8601: week 1 is the one with the first Thursday. */
function isoWeek(m: Moment): { readonly year: number; readonly week: number } {
  const thursday = new Date(Date.UTC(m.year, m.month, m.day + 3 - ((m.weekday + 6) % 7)));
  const year = thursday.getUTCFullYear();
  return { year, week: 1 + Math.floor(yearDay(year, thursday.getUTCMonth(), thursday.getUTCDate()) / 7) };
}

function offset({ offsetMinutes }: Moment, between: string): string {
  const minutes = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}${between}${two(minutes % 60)}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
