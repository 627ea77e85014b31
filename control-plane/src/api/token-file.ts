import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Clock, err, type Json, ok, type Result, type Timer } from "@heddle/base";
import { type Diagnostic, formatDiagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config";
import { parseSpiffeId } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import { ANYBODY, type Caller, ROLES, type Role } from "./access.ts";

/** Decides who calls. */
export interface Access {
  /** Whether there are tokens. Without them everybody who reaches the API is `ANYBODY`. */
  readonly isOpen: boolean;
  /** The caller with that `authorization` header; undefined: nobody who is known. */
  callerOf(authorization: string | undefined): Caller | undefined;
  /** The caller whose certificate shows that SPIFFE ID; undefined: nobody who may use the API. */
  callerOfIdentity(spiffeId: string): Caller | undefined;
  /** Calls back after it may decide otherwise, until the returned function is called. */
  onChange(watcher: () => void): () => void;
  close(): void;
}

/** For loopback only. */
export const OPEN_ACCESS: Access = {
  isOpen: true,
  callerOf: () => ANYBODY,
  callerOfIdentity: () => undefined,
  onChange: () => () => {},
  close: () => {},
};

/** A token's hash, or a SPIFFE ID ("…/*": all below it), and whose it is. */
export interface TokenEntry {
  readonly proof:
    | { readonly type: "token"; readonly hash: Buffer }
    | { readonly type: "identity"; readonly spiffeId: string };
  readonly caller: Caller;
}

const LOOK_MS = 1000;
const MAX_TOKENS = 1000;
/** Ours have 50 characters. */
const MAX_TOKEN_LENGTH = 512;

/**
 * The tokens of a file, which is read anew when it changes. One that is wrong changes nothing: the last good one holds, and
 * the log says what is wrong with it, and no hash.
 *
 * The file has SHA-256 hashes and no passwords' slow ones: a token is 256 random bits (`heddle token new`), which nobody
 * guesses however fast the hash is, and a slow hash on each call is a way to stop the API.
 */
export class TokenFile implements Access {
  readonly isOpen = false;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #watchers = new Set<() => void>();
  #text: string;
  #entries: readonly TokenEntry[];
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(path: string, text: string, entries: readonly TokenEntry[], clock: Clock, log: Log) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
    this.#text = text;
    this.#entries = entries;
    this.#lookLater();
  }

  /** Reads the file. The error has a line for each thing that is wrong with it. */
  static async open(path: string, clock: Clock, log: Log): Promise<Result<TokenFile, readonly string[]>> {
    const text = await readText(path);
    if (!text.ok) return err([text.error]);
    const read = readTokens(path, text.value);
    return read.ok
      ? ok(new TokenFile(path, text.value, read.value, clock, log))
      : err(read.error.map(formatDiagnostic));
  }

  callerOf(authorization: string | undefined): Caller | undefined {
    const token = /^Bearer +([^\s]+)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined || token.length > MAX_TOKEN_LENGTH) return undefined;
    const hash = createHash("sha256").update(token).digest();
    let found: Caller | undefined;
    // All of them, so that the time does not tell which one it was.
    for (const { proof, caller } of this.#entries)
      if (proof.type === "token" && timingSafeEqual(proof.hash, hash)) found = caller;
    return found;
  }

  /** Of several that fit the longest: an identity by itself before one of many. */
  callerOfIdentity(spiffeId: string): Caller | undefined {
    let found: { readonly length: number; readonly caller: Caller } | undefined;
    for (const { proof, caller } of this.#entries) {
      if (proof.type !== "identity" || !fits(proof.spiffeId, spiffeId)) continue;
      const length = proof.spiffeId === spiffeId ? Number.POSITIVE_INFINITY : proof.spiffeId.length;
      if (found === undefined || length > found.length) found = { length, caller };
    }
    return found?.caller;
  }

  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#watchers.clear();
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#timer = this.#clock.after(LOOK_MS, () => void this.look().then(() => this.#lookLater()), true);
  }

  /** Reads the file if it has changed. */
  async look(): Promise<void> {
    const text = await readText(this.#path);
    // A file that is being replaced may be gone for a moment; one that stays away changes nothing either.
    if (!text.ok || text.value === this.#text) return;
    this.#text = text.value;
    const read = readTokens(this.#path, text.value);
    if (!read.ok) {
      for (const fault of read.error) this.#log.error(formatDiagnostic(fault));
      this.#log.error("the tokens stay as they were", { file: this.#path });
      return;
    }
    this.#entries = read.value;
    this.#log.info("tokens have been read anew", { file: this.#path, tokens: read.value.length });
    for (const watcher of Array.from(this.#watchers)) watcher();
  }
}

function fits(pattern: string, spiffeId: string): boolean {
  return pattern.endsWith("/*") ? spiffeId.startsWith(pattern.slice(0, -1)) : pattern === spiffeId;
}

async function readText(path: string): Promise<Result<string, string>> {
  try {
    return ok(await readFile(path, "utf8"));
  } catch (error) {
    return err(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** Reads a list of tokens. Says everything that is wrong, and of a hash never more than that it is none. */
export function readTokens(file: string, text: string): Result<readonly TokenEntry[], readonly Diagnostic[]> {
  const documents = parseYamlDocuments(file, text);
  if (!documents.ok) return documents;
  const [document, ...more] = documents.value;
  if (document === undefined) return ok([]); // nobody may do anything
  const faults: Diagnostic[] = [];
  const list = document.json;
  if (!Array.isArray(list) || more.length > 0 || list.length > MAX_TOKENS)
    return err([document.diagnostic("", `allowed: one list of at most ${MAX_TOKENS} tokens`)]);
  const known = { names: new Set<string>(), hashes: new Set<string>() };
  const entries = list.map((item: Json, index) => readToken(document, `[${index}]`, item, known, faults));
  return faults.length > 0 ? err(faults) : ok(entries);
}

const FIELDS = ["name", "sha256", "spiffeId", "role", "groups", "namespaces"];

function readToken(
  document: YamlDocument,
  at: string,
  json: Json,
  known: { readonly names: Set<string>; readonly hashes: Set<string> },
  faults: Diagnostic[],
): TokenEntry {
  const fault = (field: string, message: string): void => {
    faults.push(document.diagnostic(field === "" ? at : `${at}.${field}`, message));
  };
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  if (!isObject) fault("", `allowed: an object with ${FIELDS.join(", ")}`);
  const item = (isObject ? json : {}) as { readonly [key: string]: Json };
  for (const key of Object.keys(item))
    if (!FIELDS.includes(key)) fault(key, `is not a field here; allowed are ${FIELDS.join(", ")}`);
  const { name, sha256, spiffeId, role } = item;
  if (typeof name !== "string" || !/^[\w.@/-]{1,100}$/.test(name))
    fault("name", `found ${JSON.stringify(name)}, allowed: letters, digits and . _ - @ /, at most 100`);
  else if (known.names.has(name)) fault("name", `found "${name}" a second time`);
  else known.names.add(name);
  if (sha256 !== undefined && spiffeId !== undefined) fault("spiffeId", "stands beside sha256; allowed: one of them");
  if (spiffeId !== undefined) {
    if (typeof spiffeId !== "string" || !isIdentity(spiffeId))
      fault("spiffeId", `found ${JSON.stringify(spiffeId)}, allowed: spiffe://DOMAIN/PATH, or spiffe://DOMAIN/PATH/*`);
    else if (known.hashes.has(spiffeId)) fault("spiffeId", "is another entry's too; allowed: one name an identity");
    else known.hashes.add(spiffeId);
  } else if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/i.test(sha256))
    fault("sha256", "allowed: 64 hexadecimal digits in quotes, as heddle token new prints them");
  else if (known.hashes.has(sha256.toLowerCase())) fault("sha256", "is another token's too; allowed: one name a token");
  else known.hashes.add(sha256.toLowerCase());
  if (!ROLES.includes(role as Role)) fault("role", `found ${JSON.stringify(role)}, allowed: ${ROLES.join(", ")}`);
  const texts = (field: "groups" | "namespaces"): readonly string[] | undefined => {
    const value = item[field];
    if (value === undefined) return undefined; // a field with nothing behind it is no leave to write everything
    if (Array.isArray(value) && value.every((one) => typeof one === "string" && one !== "")) return value as string[];
    fault(field, "allowed: a list of texts");
    return [];
  };
  const caller = {
    name: typeof name === "string" ? name : "",
    role: role as Role,
    groups: texts("groups"),
    namespaces: texts("namespaces"),
  };
  if (typeof spiffeId === "string") return { proof: { type: "identity", spiffeId }, caller };
  const hash = Buffer.from(typeof sha256 === "string" ? sha256 : "", "hex");
  return { proof: { type: "token", hash }, caller };
}

/** A whole path, or all below one: never a part of a name, which somebody else may choose. */
function isIdentity(text: string): boolean {
  return parseSpiffeId(text.endsWith("/*") ? text.slice(0, -2) : text).ok;
}
