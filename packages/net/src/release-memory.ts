import { loadLibc } from "./libc.ts";

/**
 * Gives pages of the C library's heap that hold nothing back to the system (malloc_trim(3)): 0.4 to 3 ms in which no other thread
 * allocates there. Undefined where there is no such function.
 */
export async function memoryReleaser(): Promise<(() => void) | undefined> {
  const trim = (await loadLibc())?.mallocTrim;
  return trim && (() => void trim(0));
}
