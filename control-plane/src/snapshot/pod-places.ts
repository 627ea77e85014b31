import type { PodPlace } from "@heddle/mesh";

/**
 * Which addresses of pods have a listener already, of those of one node. Two ports of a headless service may lead to one port of
 * its pods, and two services to the same pods, while the address that the application calls does not tell which was meant; a sidecar, as
 * Envoy does, refuses the second listener at an address, with all its others. So each is of the listener that claims it first.
 */
export class PodPlaces {
  readonly #taken = new Set<string>();

  /** Takes what nobody has of these, and answers it: the very list where that is all. */
  claim(places: readonly PodPlace[]): readonly PodPlace[] {
    const free = places.filter(({ address, port }) => {
      const before = this.#taken.size;
      return this.#taken.add(`${address} ${port}`).size > before;
    });
    return free.length === places.length ? places : free;
  }
}
