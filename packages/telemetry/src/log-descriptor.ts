import { constants, openSync } from "node:fs";

const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;

/** A descriptor to write a log to, and whether it is ours to close. */
export interface LogDescriptor {
  readonly fd: number;
  readonly owned: boolean;
}

/** Standard output and error; what is a pipe has been made non-blocking (`unblockStandardStreams`). */
export const STDOUT: LogDescriptor = { fd: 1, owned: false };
export const STDERR: LogDescriptor = { fd: 2, owned: false };

/**
 * Opens a file to append to, and makes it if it is not there. Never waits: a FIFO that nobody reads fails with ENXIO, and
 * one whose reader is slow answers writes with EAGAIN, instead of holding a thread.
 */
export function openLogFile(path: string): LogDescriptor {
  return { fd: openSync(path, APPEND | constants.O_NONBLOCK, 0o644), owned: true };
}
