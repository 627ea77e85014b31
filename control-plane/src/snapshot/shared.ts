/** Values that several hold, by key: made for the first who takes one, and gone with the last who gives it back. */
export class Shared<Value> {
  readonly #entries = new Map<string, { readonly value: Value; holders: number }>();

  take(key: string, make: () => Value): Value {
    let entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, (entry = { value: make(), holders: 0 }));
    entry.holders += 1;
    return entry.value;
  }

  /** Returns whether that was the last one. */
  giveBack(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new Error(`nobody holds ${key}`);
    entry.holders -= 1;
    return entry.holders === 0 && this.#entries.delete(key);
  }

  *values(): Generator<Value> {
    for (const { value } of this.#entries.values()) yield value;
  }
}
