/**
 * Remembers what was computed from which inputs, and computes again only when one of them is another object. What was
 * not asked for between two sweeps is forgotten.
 */
export class Memo {
  readonly #entries = new Map<string, Entry>();
  #generation = 0;
  readonly #computed = new Map<string, number>();

  /**
   * @param kind what is computed, for the counts; `key` tells which of that kind. The inputs must hold everything that
   * `compute` looks at, and none of them may be changed later.
   */
  get<T>(kind: string, key: string, inputs: readonly unknown[], compute: () => T): T {
    const id = `${kind} ${key}`;
    const known = this.#entries.get(id);
    if (known !== undefined && sameInputs(known.inputs, inputs)) {
      known.generation = this.#generation;
      return known.value as T; // stored below by the same kind and key
    }
    const value = compute();
    this.#entries.set(id, { inputs, value, generation: this.#generation });
    this.#computed.set(kind, (this.#computed.get(kind) ?? 0) + 1);
    return value;
  }

  /** Forgets what has not been asked for since the last sweep. */
  sweep(): void {
    for (const [id, { generation }] of this.#entries) if (generation !== this.#generation) this.#entries.delete(id);
    this.#generation += 1;
  }

  /** How often each kind has been computed so far. */
  get computed(): ReadonlyMap<string, number> {
    return this.#computed;
  }

  get size(): number {
    return this.#entries.size;
  }
}

interface Entry {
  readonly inputs: readonly unknown[];
  readonly value: unknown;
  generation: number;
}

function sameInputs(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((input, index) => input === b[index]);
}
