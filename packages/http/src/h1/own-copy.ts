import { Buffer } from "node:buffer"; // the global one is an accessor

/**
 * The same latin1 text in memory of its own. The engine keeps a part of a string as a view that keeps the whole alive, and a string
 * that was put together as a tree of its parts, which is walked whenever it is written.
 */
export function ownCopy(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
