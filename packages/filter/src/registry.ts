import type { HttpFilterType } from "./http-filter.ts";

/** The kinds of HTTP filter that a program knows, by the type of their configuration. */
export class HttpFilterRegistry {
  readonly #byConfigType = new Map<string, HttpFilterType>();

  /** Throws if two of them claim the same type. */
  constructor(types: readonly HttpFilterType[]) {
    for (const type of types) {
      if (this.#byConfigType.has(type.configType)) throw new Error(`two HTTP filters read ${type.configType}`);
      this.#byConfigType.set(type.configType, type);
    }
  }

  /** `configType` is the full message name, without "type.googleapis.com/". */
  get(configType: string): HttpFilterType | undefined {
    return this.#byConfigType.get(configType);
  }

  /** Sorted; for messages that say what is allowed. */
  get configTypes(): readonly string[] {
    return [...this.#byConfigType.keys()].sort();
  }

  [Symbol.iterator](): IterableIterator<HttpFilterType> {
    return this.#byConfigType.values();
  }
}
