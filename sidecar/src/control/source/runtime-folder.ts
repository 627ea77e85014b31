import { constants, existsSync, lstatSync, readlinkSync } from "node:fs";
import { open, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, err, type Json, ok, type Result, type Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { RuntimeValues } from "@heddle/traffic";

export interface RuntimeFolderOptions {
  /** What is looked at for a change: a symbolic link as a rule, which is renamed over (`symlink_root`). */
  readonly root: string;
  /** Where the values lie below it. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with what the files say, whenever that may have changed. */
  readonly onValues: (values: RuntimeValues) => void;
  readonly onFailed: () => void;
}

const LOOK_EVERY_MS = 500;
/** A runtime has hundreds of keys; these are far above. */
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 64 * 1024;
/** Of all files together: every worker holds the values. What RTDS sends is at most as large (`MAX_MESSAGE_BYTES`). */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_DEPTH = 16;
/** A pipe that nobody writes to would hold the start up for ever. */
const READ_AT_ONCE = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * A layer of the runtime that lies in a folder (`RuntimeLayer.DiskLayer`): each file is a value, its path the key with dots
 * between the parts. It is read again when the root is another one (a symbolic link was renamed over it, Envoy's atomic swap),
 * and not when a file changes in place. What cannot be read changes nothing. A root without the folder has no values, as in Envoy: most
 * clusters have nothing of their own below a root of all (`append_service_cluster`).
 *
 * As in Envoy lines that begin with "#" and white space at the end count for nothing. Names that begin with a dot are left out:
 * they are what Kubernetes builds its mounted ConfigMaps of.
 */
export class RuntimeFolder {
  readonly #options: RuntimeFolderOptions;
  #seen: string | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: RuntimeFolderOptions) {
    this.#options = options;
  }

  /** Reads, and looks from time to time from then on. Resolves when it has been read for the first time, whatever came of it. */
  async start(): Promise<void> {
    await this.#look();
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.after(
      LOOK_EVERY_MS,
      () => void this.#look().finally(() => this.#schedule()),
      true,
    );
  }

  async #look(): Promise<void> {
    const { root, folder, log, onValues, onFailed } = this.#options;
    const seen = fingerprint(root);
    if (seen === this.#seen) return;
    this.#seen = seen;
    const isLeftOut = existsSync(root) && !existsSync(folder);
    const read: Result<RuntimeValues, string> = isLeftOut ? ok({}) : await readRuntimeFolder(folder);
    if (this.#closed) return;
    if (read.ok) onValues(read.value);
    else {
      onFailed();
      log.warn("runtime values cannot be read", { folder, reason: read.error });
    }
  }
}

/** Of a link where it points to, as well: another one of the same name is another. */
function fingerprint(path: string): string {
  try {
    const stat = lstatSync(path);
    return [stat.ino, stat.ctimeMs, stat.isSymbolicLink() ? readlinkSync(path) : ""].join();
  } catch {
    return "";
  }
}

/** All values below a folder, or why they cannot be read. */
export async function readRuntimeFolder(folder: string): Promise<Result<RuntimeValues, string>> {
  const found: Found = { values: new Map(), bytes: 0 };
  try {
    // Once, so that a swap in between does not mix two sets.
    await readInto(found, await realpath(folder), "", 1);
  } catch (error) {
    return err((error as Error).message);
  }
  return ok(Object.fromEntries(found.values));
}

interface Found {
  readonly values: Map<string, Json>;
  bytes: number;
}

async function readInto(found: Found, folder: string, prefix: string, depth: number): Promise<void> {
  if (depth > MAX_DEPTH) throw new Error(`${folder}: folders lie within each other more than ${MAX_DEPTH} deep`);
  for (const name of (await readdir(folder)).sort()) {
    if (name.startsWith(".")) continue;
    const path = join(folder, name);
    const key = prefix + name;
    const file = await open(path, READ_AT_ONCE);
    try {
      const stat = await file.stat();
      if (stat.isDirectory()) await readInto(found, path, `${key}.`, depth + 1);
      else if (stat.isFile()) {
        if (stat.size > MAX_FILE_BYTES)
          throw new Error(`${path}: found ${stat.size} bytes, allowed are ${MAX_FILE_BYTES}`);
        if (found.values.size >= MAX_FILES) throw new Error(`${folder}: there are more than ${MAX_FILES} files`);
        found.bytes += stat.size;
        if (found.bytes > MAX_BYTES)
          throw new Error(
            `${path}: the files up to this one have ${found.bytes} bytes, allowed are ${MAX_BYTES} in all`,
          );
        found.values.set(key, runtimeValue(await file.readFile("utf8")));
      }
    } finally {
      await file.close();
    }
  }
}

/** What a file says: text, which is a number or a flag where it is read as one, or a fraction in YAML or JSON. */
function runtimeValue(content: string): Json {
  const lines = content.split("\n").filter((line) => !line.startsWith("#"));
  const text = lines.join("\n").trimEnd();
  return fractionIn(text) ?? text;
}

/** `numerator: 5` and `denominator: TEN_THOUSAND`, in either order and either form; undefined where it is anything else. */
function fractionIn(text: string): Json | undefined {
  const fields = text
    .trim()
    .replace(/^\{(.*)\}$/s, "$1")
    .split(/[\n,]/)
    .filter((line) => line.trim() !== "");
  const found: Record<string, Json> = {};
  for (const field of fields) {
    const [, name = "", number, word] =
      /^\s*"?(numerator|denominator)"?\s*:\s*(?:(\d+)|"?([A-Z_]+)"?)\s*$/.exec(field) ?? [];
    if (name === "" || Object.hasOwn(found, name)) return undefined;
    found[name] = number === undefined ? (word ?? "") : Number(number);
  }
  return fields.length === 0 ? undefined : found;
}
