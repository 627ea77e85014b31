import { readFile } from "node:fs/promises";
import { type Clock, err, isJsonObject, type Json, ok, type Result, type Timer } from "@heddle/base";
import { type Diagnostic, formatDiagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config";
import { parseSpiffeId, type SpiffeId } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import { StartError } from "../serve/address.ts";
import { type ListedToken, MAX_JOIN_TOKENS } from "./join-tokens.ts";

export interface JoinTokenFileOptions {
  readonly path: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_MS = 1000;

/**
 * Join tokens that were made where there is no resource API (`heddle token join --local`, `heddle up`): a list with the
 * SHA-256 of each, whose it is, and when it ends. Read anew when it changes; one that is wrong changes nothing.
 */
export class JoinTokenFile {
  readonly #options: JoinTokenFileOptions;
  #text: string;
  #tokens: ReadonlyMap<string, ListedToken>;
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(options: JoinTokenFileOptions, text: string, tokens: ReadonlyMap<string, ListedToken>) {
    this.#options = options;
    this.#text = text;
    this.#tokens = tokens;
    this.#lookLater();
  }

  /** Rejects with a `StartError` that has a line for each thing that is wrong. */
  static async open(options: JoinTokenFileOptions): Promise<JoinTokenFile> {
    const text = await readText(options.path);
    if (!text.ok) throw new StartError(`certificate authority: ${text.error}`);
    const tokens = readJoinTokens(options.path, text.value, options.trustDomain);
    if (tokens.ok) return new JoinTokenFile(options, text.value, tokens.value);
    throw new StartError(`certificate authority: ${tokens.error.map(formatDiagnostic).join("\n")}`);
  }

  /** By hash. */
  get tokens(): ReadonlyMap<string, ListedToken> {
    return this.#tokens;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Reads the file if it has changed. */
  async look(): Promise<void> {
    const { path, trustDomain, log } = this.#options;
    const text = await readText(path);
    // A file that is being replaced may be gone for a moment; one that stays away changes nothing either.
    if (!text.ok || text.value === this.#text) return;
    this.#text = text.value;
    const tokens = readJoinTokens(path, text.value, trustDomain);
    if (tokens.ok) {
      this.#tokens = tokens.value;
      log.info("join tokens have been read anew", { file: path, tokens: tokens.value.size });
      return;
    }
    for (const fault of tokens.error) log.error(formatDiagnostic(fault));
    log.error("the join tokens stay as they were", { file: path });
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(LOOK_MS, () => void this.look().then(() => this.#lookLater()), true);
  }
}

async function readText(path: string): Promise<Result<string, string>> {
  try {
    return ok(await readFile(path, "utf8"));
  } catch (error) {
    return err(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

const FIELDS = ["sha256", "spiffeId", "expires"];

/** Says everything that is wrong, and of a hash never more than that it is none. */
export function readJoinTokens(
  file: string,
  text: string,
  trustDomain: string,
): Result<ReadonlyMap<string, ListedToken>, readonly Diagnostic[]> {
  const documents = parseYamlDocuments(file, text);
  if (!documents.ok) return documents;
  const [document, ...more] = documents.value;
  if (document === undefined) return ok(new Map());
  const list = document.json;
  if (!Array.isArray(list) || more.length > 0 || list.length > MAX_JOIN_TOKENS)
    return err([document.diagnostic("", `allowed: one list of at most ${MAX_JOIN_TOKENS} join tokens`)]);
  const faults: Diagnostic[] = [];
  const tokens = new Map<string, ListedToken>();
  for (const [index, item] of list.entries()) readEntry(document, `[${index}]`, item, trustDomain, tokens, faults);
  return faults.length > 0 ? err(faults) : ok(tokens);
}

function readEntry(
  document: YamlDocument,
  at: string,
  json: Json,
  trustDomain: string,
  tokens: Map<string, ListedToken>,
  faults: Diagnostic[],
): void {
  const fault = (field: string, message: string): void => {
    faults.push(document.diagnostic(field === "" ? at : `${at}.${field}`, message));
  };
  if (!isJsonObject(json)) {
    fault("", `allowed: an object with ${FIELDS.join(", ")}`);
    return;
  }
  for (const key of Object.keys(json))
    if (!FIELDS.includes(key)) fault(key, `is not a field here; allowed are ${FIELDS.join(", ")}`);
  const { sha256, spiffeId, expires } = json;
  const hash = typeof sha256 === "string" && /^[0-9a-f]{64}$/i.test(sha256) ? sha256.toLowerCase() : undefined;
  if (hash === undefined) fault("sha256", "allowed: 64 hexadecimal digits in quotes, as heddle token join prints them");
  else if (tokens.has(hash)) fault("sha256", "is another token's too; allowed: one identity a token");
  const id = readId(spiffeId, trustDomain);
  if (!id.ok) fault("spiffeId", id.error);
  const expiresAtMs = typeof expires === "string" ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(expiresAtMs)) fault("expires", 'allowed: a time such as "2026-11-22T10:00:00Z"');
  if (hash !== undefined && id.ok) tokens.set(hash, { spiffeId: id.value, expiresAtMs });
}

function readId(text: unknown, trustDomain: string): Result<SpiffeId, string> {
  const allowed = `allowed: spiffe://${trustDomain}/ns/NAMESPACE/sa/ACCOUNT`;
  if (typeof text !== "string") return err(allowed);
  const id = parseSpiffeId(text);
  if (!id.ok) return err(`the ID ${id.error}; ${allowed}`);
  return id.value.trustDomain === trustDomain && id.value.path !== "" ? id : err(allowed);
}
