import type { StoreChange } from "./store.ts";

/** What a store takes. A batch beyond one of them is `refused`. */
export interface StoreLimits {
  /** Of one key, as UTF-8. */
  readonly maxKeyBytes: number;
  readonly maxValueBytes: number;
  readonly maxBatchChanges: number;
  /** Of all keys and values of one batch. */
  readonly maxBatchBytes: number;
  readonly maxEntries: number;
  /** Of all keys and values that are stored: they are held in memory. */
  readonly maxTotalBytes: number;
}

const MIB = 1024 * 1024;

export const STORE_LIMITS: StoreLimits = {
  maxKeyBytes: 1024,
  maxValueBytes: MIB,
  maxBatchChanges: 10_000,
  maxBatchBytes: 16 * MIB,
  maxEntries: 100_000,
  maxTotalBytes: 256 * MIB,
};

/** Why the batch can never be committed, whatever is stored; undefined where it can. */
export function faultOfBatch(changes: readonly StoreChange[], limits: StoreLimits): string | undefined {
  const { maxBatchChanges, maxBatchBytes } = limits;
  if (changes.length > maxBatchChanges) return `a batch of ${changes.length} changes; allowed: ${maxBatchChanges}`;
  const keys = new Set<string>();
  let bytes = 0;
  for (const { key, value } of changes) {
    const fault = faultOfKey(key, limits.maxKeyBytes);
    if (fault !== undefined) return fault;
    if (keys.has(key)) return `the batch names the key ${shown(key)} twice`;
    keys.add(key);
    const valueBytes = value?.byteLength ?? 0;
    if (valueBytes > limits.maxValueBytes)
      return `the value of ${shown(key)} has ${valueBytes} bytes; allowed: ${limits.maxValueBytes}`;
    bytes += Buffer.byteLength(key) + valueBytes;
  }
  return bytes > maxBatchBytes ? `a batch of ${bytes} bytes; allowed: ${maxBatchBytes}` : undefined;
}

function faultOfKey(key: string, maxKeyBytes: number): string | undefined {
  if (key === "") return "a key is empty";
  // It would come back as another one: UTF-8 has no half of a surrogate pair.
  if (!key.isWellFormed()) return `the key ${shown(key)} is no well-formed Unicode`;
  const bytes = Buffer.byteLength(key);
  return bytes > maxKeyBytes ? `the key ${shown(key)} has ${bytes} bytes; allowed: ${maxKeyBytes}` : undefined;
}

const SHOWN_CHARACTERS = 80;

function shown(key: string): string {
  return JSON.stringify(key.length > SHOWN_CHARACTERS ? `${key.slice(0, SHOWN_CHARACTERS)}…` : key);
}
