/**
 * Decides when a change that was seen in a folder is to be believed. A file that is being written is seen in all states
 * between its old and its new content, and many editors move the old one away before they put the new one there. So a
 * change is believed when it has stayed the same for a while, and a file's end (gone, or empty) only after a longer one:
 * between the two halves of a save it must not take a service out of the mesh.
 *
 * Pure: it is told what was seen, and when.
 */
export class Settling {
  readonly #settleMs: number;
  readonly #doubtMs: number;
  readonly #believed = new Map<string, string>();
  readonly #seen = new Map<string, { readonly stamp: string; readonly sinceMs: number }>();

  /** @param settleMs how long a change has to stay the same; `doubtMs`: the same for a file's end. */
  constructor(settleMs: number, doubtMs: number) {
    this.#settleMs = settleMs;
    this.#doubtMs = doubtMs;
  }

  /**
   * Tells what a look has found, each file with a stamp that differs whenever its content does. Returns what is to be read (or dropped) now, and when to look again at the latest.
   *
   * @param atOnce believe everything: nothing is in force yet that a half-written file could harm.
   */
  look(found: ReadonlyMap<string, FileStamp>, nowMs: number, atOnce = false): Look {
    const believe: string[] = [];
    const gone: string[] = [];
    let againInMs: number | undefined;
    for (const path of new Set([...this.#believed.keys(), ...found.keys(), ...this.#seen.keys()])) {
      const file = found.get(path);
      const stamp = file?.stamp ?? ABSENT;
      if ((this.#believed.get(path) ?? ABSENT) === stamp) {
        this.#seen.delete(path); // as before, or back to it
        continue;
      }
      const seen = this.#seen.get(path);
      const sinceMs = seen?.stamp === stamp ? seen.sinceMs : nowMs;
      const doubtful = this.#believed.has(path) && (file === undefined || file.empty);
      const leftMs = atOnce ? 0 : sinceMs + (doubtful ? this.#doubtMs : this.#settleMs) - nowMs;
      if (leftMs > 0) {
        this.#seen.set(path, { stamp, sinceMs });
        againInMs = Math.min(againInMs ?? leftMs, leftMs);
        continue;
      }
      this.#seen.delete(path);
      if (file === undefined) {
        this.#believed.delete(path);
        gone.push(path);
      } else {
        this.#believed.set(path, stamp);
        believe.push(path);
      }
    }
    return { believe, gone, againInMs };
  }

  /** What was seen and is not believed yet. */
  get pending(): Iterable<string> {
    return this.#seen.keys();
  }

  /** Forgets that the file was believed: it changed while it was read. */
  doubt(path: string): void {
    this.#believed.set(path, "torn");
  }
}

export interface FileStamp {
  /** Differs whenever the content does: inode, size and times. */
  readonly stamp: string;
  readonly empty: boolean;
}

export interface Look {
  /** To be read now: new, or changed and settled. */
  readonly believe: readonly string[];
  /** To be dropped now. */
  readonly gone: readonly string[];
  /** Something is on its way: look again then. Undefined: nothing is. */
  readonly againInMs: number | undefined;
}

const ABSENT = "absent";
