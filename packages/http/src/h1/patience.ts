/** So often in a row it may miss until nobody looks for a while. */
const MAX_MISSES = 3;
const FIRST_PAUSE = 16;
const LONGEST_PAUSE = 1024;

/**
 * When to look for what has been seen before. Where each message differs (each has an id of its own, say), looking costs more than
 * it saves; then it pauses, for longer each time that nothing has come of it.
 */
export class Patience {
  #misses = 0;
  /** Messages for which nobody looks yet. */
  #pause = 0;
  #nextPause = FIRST_PAUSE;

  /** Whether to look now. To be asked once for each message. */
  looks(): boolean {
    if (this.#pause === 0) return true;
    this.#pause--;
    return false;
  }

  found(): void {
    this.#misses = 0;
    this.#nextPause = FIRST_PAUSE;
  }

  /** Whether what has come instead is worth keeping. */
  missed(): boolean {
    if (this.#pause > 0) return false;
    if (++this.#misses <= MAX_MISSES) return true;
    this.#misses = 0;
    this.#pause = this.#nextPause;
    this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause);
    return false;
  }
}
