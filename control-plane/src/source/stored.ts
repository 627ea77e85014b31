import type { Diagnostic } from "@heddle/config";
import { parseStoreKey, type ResourceKey } from "../api/resource-key.ts";
import { decodeStoredValue } from "../api/stored-value.ts";
import type { Store, StoredEntry } from "../store/store.ts";
import { hasErrors } from "./read-file.ts";
import { readStored, storedPlace } from "./read-stored.ts";
import { itemKey, type Source, type SourceItem } from "./source.ts";

/**
 * What people have put into the store through the resource API. An entry that this version cannot read does not change what
 * is in force: its last good content stays, and its faults are reported until it can be read again.
 *
 * The store is its owner's: it is started and closed there.
 */
export class StoredSource implements Source {
  readonly name: string;
  readonly #store: Store;
  readonly #known = new Map<string, KnownEntry>();
  #items: readonly SourceItem[] | undefined;
  #diagnostics: readonly Diagnostic[] = [];
  /** The store's, as it stands in the diagnostics. */
  #shownTrouble: string | undefined;
  #unwatch: () => void = () => {};

  constructor(store: Store) {
    this.name = `store ${store.name}`;
    this.#store = store;
  }

  get items(): readonly SourceItem[] | undefined {
    return this.#items;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  start(onChange: () => void): void {
    this.#unwatch = this.#store.watch(({ changed, removed }) => {
      const isNothing = changed.length === 0 && removed.length === 0;
      // Others keep things in the store too: the world is not made anew for theirs.
      if (isNothing && this.#items !== undefined && this.#store.trouble === this.#shownTrouble) return;
      // Of a first step nothing is known yet: then everything is read.
      if (this.#items === undefined) this.#readAll();
      else this.#readChanged(changed, removed);
      onChange();
    });
    if (this.#store.entries === undefined && this.#store.trouble === undefined) return;
    this.#readAll();
    queueMicrotask(() => onChange()); // not before whoever starts us has taken note of it
  }

  async close(): Promise<void> {
    this.#unwatch();
  }

  /** The items if these entries had other ones; undefined removes an entry's. */
  itemsWith(changes: ReadonlyMap<string, SourceItem | undefined>): readonly SourceItem[] {
    const kept = [...this.#known].flatMap(([key, { items }]) => (changes.has(key) ? [] : items));
    return [...kept, ...[...changes.values()].filter((item) => item !== undefined)];
  }

  #readAll(): void {
    const { entries } = this.#store;
    for (const key of this.#known.keys()) if (!(entries?.has(key) ?? false)) this.#known.delete(key);
    for (const entry of entries?.values() ?? []) this.#read(entry);
    this.#publish();
  }

  #readChanged(changed: readonly StoredEntry[], removed: readonly string[]): void {
    for (const key of removed) this.#known.delete(key);
    for (const entry of changed) this.#read(entry);
    this.#publish();
  }

  #read(entry: StoredEntry): void {
    const known = this.#known.get(entry.key);
    if (known?.entry === entry) return;
    const read = readEntry(entry);
    const good = !hasErrors(read);
    const keepsLastGood = !good && known !== undefined;
    this.#known.set(entry.key, {
      entry,
      items: keepsLastGood ? known.items : read.items,
      diagnostics: read.diagnostics,
    });
  }

  #publish(): void {
    const { entries, trouble } = this.#store;
    // A store that has not been read does not say what exists: `items` stays undefined.
    if (entries !== undefined) this.#items = [...this.#known.values()].flatMap(({ items }) => items);
    this.#shownTrouble = trouble;
    const read = [...this.#known.values()].flatMap(({ diagnostics }) => diagnostics);
    this.#diagnostics = trouble === undefined ? read : [faultOf(this.name, trouble), ...read];
  }
}

interface KnownEntry {
  readonly entry: StoredEntry;
  readonly items: readonly SourceItem[];
  readonly diagnostics: readonly Diagnostic[];
}

function readEntry({ key: storeKey, value }: StoredEntry) {
  const key = parseStoreKey(storeKey);
  if (key === undefined)
    return { items: [], diagnostics: [faultOf(`stored ${storeKey}`, "is no resource of this API")] };
  const decoded = decodeStoredValue(value);
  if (!decoded.ok) return { items: [], diagnostics: [faultOf(storedPlace(key), decoded.error)] };
  const read = readStored(key, decoded.value);
  const stranger = read.items.find((item) => !isNamed(item, key));
  if (stranger === undefined) return read;
  return { items: [], diagnostics: [faultOf(storedPlace(key), `holds the ${itemKey(stranger)}`)] };
}

/** Whoever writes to the store past the API may put one thing under another's name. */
function isNamed(item: SourceItem, key: ResourceKey): boolean {
  return (
    item.name === key.name && (item.kind === "raw" ? item.typeName === key.type : item.namespace === key.namespace)
  );
}

function faultOf(file: string, message: string): Diagnostic {
  return { severity: "error", file, line: 0, column: 0, path: "", message };
}
