import { loadLibc, RLIMIT_CORE } from "./libc.ts";

/**
 * Sets the process's core size limit to 0 (setrlimit(2)), for good: memory holds keys and tokens, and a file that a crash
 * leaves is read by whoever comes by. False where koffi is not here, or the system has no such limit.
 */
export async function forbidCoreDumps(): Promise<boolean> {
  const libc = await loadLibc();
  return libc?.setrlimit(RLIMIT_CORE, NOTHING) === 0;
}

/** struct rlimit: soft and hard limit, of 64 bits each. A hard limit that has been lowered is not raised again without root. */
const NOTHING = new Uint8Array(16);
