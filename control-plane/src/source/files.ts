import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Clock, Timer } from "@heddle/base";
import type { Diagnostic } from "@heddle/config";
import { FolderWatcher } from "./folder-watcher.ts";
import type { ResourceParser } from "./raw-resource.ts";
import { hasErrors, readFileText } from "./read-file.ts";
import { MAX_FILES, rescan, type Scan, scanFolder, stampOf } from "./scan-folder.ts";
import { Settling } from "./settling.ts";
import { itemKey, type Source, type SourceItem } from "./source.ts";

export interface FileSourceOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly parse: ResourceParser;
  /** A change is believed when it has stayed the same for so long. */
  readonly settleMs?: number;
  /** The same for a file that is gone or empty. */
  readonly doubtMs?: number;
  /** How often the folder is looked at without any event. */
  readonly pollMs?: number;
}

const GATHER_MS = 5; // events of one save come together
/** Looking at a whole large folder takes no more than this part of the time: one of 11,000 files does it every few seconds. */
const WHOLE_LOOK_SHARE = 0.05;

/**
 * A folder of YAML and JSON files, watched. A file that becomes bad does not change what is in force: its last good
 * content stays, and its faults are reported until it is mended.
 */
export class FileSource implements Source {
  readonly name: string;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #parse: ResourceParser;
  readonly #pollMs: number;
  readonly #settling: Settling;
  readonly #watcher: FolderWatcher;
  readonly #files = new Map<string, KnownFile>();
  /** Of the last look; undefined where the next one has to look at everything. */
  #scan: Scan | undefined;
  #wholeLookAtMs = 0;
  /** Where something has happened since the last look began. */
  readonly #places = new Set<string>();
  #items: readonly SourceItem[] | undefined;
  #diagnostics: readonly Diagnostic[] = [];
  #folderFault: Diagnostic | undefined;
  #onChange: () => void = () => {};
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #looking: Promise<void> = Promise.resolve();
  #isLooking = false;
  #closed = false;

  constructor({ folder, clock, parse, settleMs = 30, doubtMs = 250, pollMs = 2000 }: FileSourceOptions) {
    this.name = `files ${folder}`;
    this.#folder = folder;
    this.#clock = clock;
    this.#parse = parse;
    this.#pollMs = pollMs;
    this.#settling = new Settling(settleMs, doubtMs);
    this.#watcher = new FolderWatcher((place) => {
      if (place === undefined) this.#wholeLookAtMs = 0;
      else this.#places.add(place);
      this.#lookWithin(GATHER_MS);
    });
  }

  get items(): readonly SourceItem[] | undefined {
    return this.#items;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  start(onChange: () => void): void {
    this.#onChange = onChange;
    this.#lookWithin(0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watcher.close();
    await this.#looking;
  }

  /** Makes sure that there is a look within that time; one that is due earlier stays. */
  #lookWithin(delayMs: number): void {
    const atMs = this.#clock.now() + delayMs;
    if (this.#closed || atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      // The end of a look plans the next one, so an event during a look is not lost: it makes that one come soon.
      if (this.#isLooking) this.#lookWithin(GATHER_MS);
      else this.#looking = this.#look();
    });
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    const scan = await this.#findFiles();
    if (this.#closed) return;
    this.#scan = scan;
    if (scan === undefined) {
      this.#folderIsGone();
      this.#finishLook(undefined);
      return;
    }
    this.#watcher.watch(scan.folders);
    const first = this.#items === undefined;
    const { believe, gone, againInMs } = this.#settling.look(scan.files, this.#clock.now(), first);
    for (const path of gone) this.#files.delete(path);
    const fault = scan.truncated ? `holds more than ${MAX_FILES} files; the others are not read` : undefined;
    let changed = gone.length > 0 || first || this.#folderFault?.message !== fault;
    this.#folderFault = fault === undefined ? undefined : this.#faultOfFolder(fault);
    for (const path of believe) changed = (await this.#read(path, scan.files.get(path)?.stamp)) || changed;
    if (this.#closed) return;
    if (changed) this.#publish(true);
    this.#finishLook(againInMs);
  }

  /** Only where something is known to have happened; from time to time, and where that does not do, everywhere. */
  async #findFiles(): Promise<Scan | undefined> {
    const places = [...this.#places];
    this.#places.clear();
    if (this.#scan !== undefined && this.#clock.now() < this.#wholeLookAtMs) {
      const scan = await rescan(this.#folder, this.#scan, places, this.#settling.pending);
      if (scan !== undefined) return scan;
    }
    const beganMs = this.#clock.now();
    this.#wholeLookAtMs = beganMs + this.#pollMs; // an event meanwhile may ask for one at once
    const scan = await scanFolder(this.#folder);
    const restMs = (this.#clock.now() - beganMs) / WHOLE_LOOK_SHARE;
    if (this.#wholeLookAtMs > 0) this.#wholeLookAtMs = this.#clock.now() + Math.max(this.#pollMs, restMs);
    return scan;
  }

  #finishLook(againInMs: number | undefined): void {
    this.#isLooking = false;
    this.#lookWithin(Math.min(againInMs ?? this.#pollMs, Math.max(0, this.#wholeLookAtMs - this.#clock.now())));
  }

  /** Whether anything is different now. */
  async #read(path: string, expectedStamp: string | undefined): Promise<boolean> {
    const full = join(this.#folder, path);
    let text: string;
    try {
      text = await readFile(full, "utf8");
      const after = stampOf(await stat(full, { bigint: true }));
      if (after !== expectedStamp) {
        this.#settling.doubt(path); // it was written to while it was read: what was read may be half of it
        this.#lookWithin(GATHER_MS);
        return false;
      }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (code === "ENOENT") return false; // gone meanwhile: the next look says whether it stays so
      const fault = {
        severity: "error",
        file: full,
        line: 0,
        column: 0,
        path: "",
        message: `cannot be read: ${code}`,
      } as const;
      const known = this.#files.get(path);
      this.#files.set(path, {
        text: undefined,
        items: known?.items ?? [],
        wasGood: known?.wasGood ?? false,
        diagnostics: [fault],
      });
      return true;
    }
    const known = this.#files.get(path);
    if (known?.text === text) return false;
    const read = readFileText(full, text, this.#parse);
    const good = !hasErrors(read);
    const keepsLastGood = !good && known?.wasGood === true;
    // Of a file that was never good, what is good of it is used: there is nothing better.
    const items = keepsLastGood ? known.items : reuseUnchanged(read.items, known?.items ?? []);
    this.#files.set(path, { text, items, wasGood: good || keepsLastGood, diagnostics: read.diagnostics });
    return true;
  }

  #folderIsGone(): void {
    const message =
      this.#items === undefined
        ? "there is no folder here that can be read"
        : "the folder is gone; what it held stays in force";
    if (this.#folderFault?.message === message) return; // said before
    this.#folderFault = this.#faultOfFolder(message);
    this.#watcher.watch(new Set([dirname(this.#folder)])); // where it may appear
    // A source that never saw its folder does not know what exists: `items` stays undefined.
    this.#publish(this.#items !== undefined);
  }

  #faultOfFolder(message: string): Diagnostic {
    return { severity: "error", file: this.#folder, line: 0, column: 0, path: "", message };
  }

  #publish(synchronised: boolean): void {
    const files = [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
    if (synchronised) this.#items = files.flatMap(({ items }) => items);
    this.#diagnostics = files.flatMap(({ diagnostics }) => diagnostics);
    if (this.#folderFault !== undefined) this.#diagnostics = [this.#folderFault, ...this.#diagnostics];
    this.#onChange();
  }
}

interface KnownFile {
  /** Undefined where it could not be read. */
  readonly text: string | undefined;
  readonly items: readonly SourceItem[];
  /** `items` are the whole of a content without errors. */
  readonly wasGood: boolean;
  readonly diagnostics: readonly Diagnostic[];
}

/** Items that are as before are the same objects as before, so that nothing is derived from them anew. */
function reuseUnchanged(items: readonly SourceItem[], before: readonly SourceItem[]): readonly SourceItem[] {
  const byKey = new Map(before.map((item) => [itemKey(item), item]));
  return items.map((item) => {
    const old = byKey.get(itemKey(item));
    return old !== undefined && sameContent(old, item) ? old : item;
  });
}

function sameContent(a: SourceItem, b: SourceItem): boolean {
  return isDeepStrictEqual(a, b); // JSON says nothing of a Map, such as a PeerAuthentication's modes by port
}
