/** How a stream ended, which says what its late frames mean (RFC 9113 §5.1, "closed"). */
export const Ending = {
  /** Nobody has used it: its number was passed over (§5.1.1). */
  Unused: 0,
  /** Both sides have sent END_STREAM. */
  Complete: 1,
  /** The peer has reset it: it sends nothing more. */
  ResetByPeer: 2,
  /** We have reset it: what was on its way is ignored. */
  ResetByUs: 3,
  /** Too long ago to be known. */
  Forgotten: 4,
} as const;
export type Ending = (typeof Ending)[keyof typeof Ending];

/** As many streams as are remembered; more than a peer can have on its way. */
const PLACES = 256;

/** How the last streams of a connection ended, in memory that does not grow. */
export class ClosedStreams {
  /** By the stream's number, modulo the places. */
  readonly #ids = new Int32Array(PLACES);
  readonly #endings = new Uint8Array(PLACES);

  add(id: number, ending: Ending): void {
    const place = (id >>> 1) % PLACES;
    if (this.#ids[place]! > id) return; // one that was opened later has ended already
    this.#ids[place] = id;
    this.#endings[place] = ending;
  }

  /** Of a stream that is not open, whose number is not above the last that was opened. */
  find(id: number): Ending {
    const place = (id >>> 1) % PLACES;
    const known = this.#ids[place]!; // always below the length
    if (known === id) return this.#endings[place] as Ending;
    return known > id ? Ending.Forgotten : Ending.Unused;
  }
}
