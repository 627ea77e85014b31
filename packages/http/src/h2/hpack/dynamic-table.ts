/** What each entry counts beyond its octets (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD = 32;

export interface TableEntry {
  readonly name: string;
  readonly value: string;
  /** Which insertion into the table it was, from 0. */
  readonly number: number;
}

export function entrySize(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD; // latin1: a character is an octet
}

/** The dynamic table of one direction (RFC 7541 §2.3.2, §4): a queue with a limit in octets. */
export class DynamicTable {
  /** A ring; its length is a power of two, at least as many as there are entries. */
  #ring = new Array<TableEntry | undefined>(32).fill(undefined);
  #oldest = 0;
  #inserted = 0;
  #size = 0;
  #maxSize: number;
  readonly #onEvict: ((entry: TableEntry) => void) | undefined;

  constructor(maxSize: number, onEvict?: (entry: TableEntry) => void) {
    this.#maxSize = maxSize;
    this.#onEvict = onEvict;
  }

  get length(): number {
    return this.#inserted - this.#oldest;
  }

  /** Octets. */
  get size(): number {
    return this.#size;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  /** Insertions ever; the entry of number n has the index `inserted - 1 - n`. */
  get inserted(): number {
    return this.#inserted;
  }

  /** 0 is the newest entry. */
  get(index: number): TableEntry | undefined {
    const number = this.#inserted - 1 - index;
    return index < 0 || number < this.#oldest ? undefined : this.#ring[number & (this.#ring.length - 1)];
  }

  /** An entry larger than the table empties it, which is no error (RFC 7541 §4.4). */
  insert(name: string, value: string): void {
    const size = entrySize(name, value);
    this.#evictTo(this.#maxSize - size);
    if (size > this.#maxSize) return;
    if (this.length === this.#ring.length) this.#grow();
    this.#ring[this.#inserted & (this.#ring.length - 1)] = { name, value, number: this.#inserted };
    this.#inserted++;
    this.#size += size;
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  #evictTo(size: number): void {
    while (this.#size > size && this.#oldest < this.#inserted) {
      const place = this.#oldest++ & (this.#ring.length - 1);
      const entry = this.#ring[place]!; // between oldest and inserted
      this.#ring[place] = undefined;
      this.#size -= entrySize(entry.name, entry.value);
      this.#onEvict?.(entry);
    }
  }

  #grow(): void {
    const old = this.#ring;
    this.#ring = new Array<TableEntry | undefined>(old.length * 2).fill(undefined);
    for (let n = this.#oldest; n < this.#inserted; n++) {
      this.#ring[n & (this.#ring.length - 1)] = old[n & (old.length - 1)];
    }
  }
}
