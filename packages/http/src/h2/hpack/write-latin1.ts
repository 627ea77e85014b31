import type { Buffer } from "node:buffer";

/** What every Buffer of Node has, though its types do not say so. */
interface Latin1Buffer extends Buffer {
  latin1Write(text: string, at: number, length: number): number;
}

/**
 * Writes `text`, of latin1 characters, into `into` at `at`, where there is room for it. As `into.write` does with an encoding, which looks
 * for 235 instructions at what it was given before it writes with 440; character by character 55 take 2400, and 3300 of a substring.
 */
export function writeLatin1(text: string, into: Buffer, at: number): void {
  (into as Latin1Buffer).latin1Write(text, at, text.length);
}
