import type { ServerResponse } from "node:http";
import { type Clock, systemClock } from "@heddle/base";
import { inSlices, nextTurn } from "./slices.ts";

/** So much is written at once. */
const CHUNK_CHARS = 64 * 1024;
/** A client that takes nothing for so long is let go. */
const STALLED_MS = 30_000;

/**
 * Sends a body that is made while it is sent: never more than a chunk ahead of the client, and never longer than a slice at a time.
 * Resolves when all of it is written, or the client has gone; throws what a piece throws, with the connection ended.
 */
export async function sendBody(
  response: ServerResponse,
  pieces: Iterable<string>,
  clock: Clock = systemClock,
): Promise<void> {
  const iterator = pieces[Symbol.iterator]();
  let text = "";
  let done = false;
  try {
    while (!done) {
      done = true;
      await inSlices(
        iterator,
        (piece) => {
          text += piece;
          done = text.length < CHUNK_CHARS; // where it is not, there may be more
          return done && !response.destroyed;
        },
        clock,
      );
      if (response.destroyed) return;
      const taken = text === "" || response.write(text);
      text = "";
      if (!taken && !done) await drained(response, clock);
      if (!done) await nextTurn(clock); // a write that the kernel took at once drains within the same turn
      if (response.destroyed) return;
    }
    response.end();
  } catch (error) {
    response.destroy(); // half of it has gone out: the end of the connection alone says that it is not whole
    throw error;
  } finally {
    iterator.return?.();
  }
}

function drained(response: ServerResponse, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(STALLED_MS, () => response.destroy(), true);
    const end = (): void => {
      timer.cancel();
      response.off("drain", end).off("close", end);
      resolve();
    };
    response.on("drain", end).on("close", end);
  });
}
