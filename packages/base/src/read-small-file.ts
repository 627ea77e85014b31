import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { err, ok, type Result } from "./result.ts";

/**
 * A file that a configuration names, at once. The error says what is wrong with it. What is no file is not read: a pipe or a device
 * would hold the thread up, or have no end.
 */
export function readSmallFile(path: string, maxBytes: number): Result<Buffer, string> {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe nobody writes into is not waited for
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) return err(stats.isDirectory() ? "is a folder" : "is no file");
    if (stats.size > maxBytes) return err(`has ${stats.size} bytes, allowed are ${maxBytes}`);
    return readUpTo(descriptor, maxBytes, stats.size);
  } catch (error) {
    return err(`cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** @param expected a file of /proc says 0 and has more; one that is being written may grow. */
function readUpTo(descriptor: number, maxBytes: number, expected: number): Result<Buffer, string> {
  let bytes = Buffer.allocUnsafe(expected + 1);
  for (let length = 0; ; ) {
    const read = readSync(descriptor, bytes, length, bytes.length - length, null);
    if (read === 0) return ok(bytes.subarray(0, length));
    length += read;
    if (length > maxBytes) return err(`has more than the ${maxBytes} bytes that are allowed`);
    if (length === bytes.length) bytes = Buffer.concat([bytes, Buffer.allocUnsafe(bytes.length + 4096)]);
  }
}
