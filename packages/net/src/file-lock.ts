import { spawn } from "node:child_process";
import { loadLibc } from "./libc.ts";

/** `taken`: another open file has it. `unsupported`: neither koffi nor flock(1) is here. */
export type LockOutcome = "locked" | "taken" | "unsupported";

/**
 * Takes the exclusive lock of an open file (flock(2)) for as long as this file is open. It ends with the process, however
 * that ends, and holds between containers that share a disk, where process ids and socket names would not.
 */
export async function lockFile(descriptor: number): Promise<LockOutcome> {
  const libc = await loadLibc();
  if (libc === undefined) return lockByCommand(descriptor);
  if (libc.flock(descriptor, LOCK_EX | LOCK_NB) === 0) return "locked";
  return libc.wouldBlock() ? "taken" : "unsupported";
}

const LOCK_EX = 2;
const LOCK_NB = 4;

/** The lock belongs to the open file, not to a process: flock(1) may take it on the descriptor that it inherits, and end. */
export function lockByCommand(descriptor: number): Promise<LockOutcome> {
  return new Promise((resolve) => {
    const child = spawn("flock", ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", descriptor] });
    child.on("error", () => resolve("unsupported"));
    child.on("exit", (code) => resolve(code === 0 ? "locked" : code === TAKEN ? "taken" : "unsupported"));
  });
}

/** Of flock(1), where somebody else has the lock. Its other failures end with other codes. */
const TAKEN = 1;
