import { createServer } from "node:net";

/** Below Linux's ephemeral range (32768), so that no outgoing connection takes a port between our look and its use. */
const FIRST = 20_000;
const LAST = 32_000;

/**
 * Hands out loopback TCP ports that are free now, each once. A port that somebody wishes is given if it is free; if it
 * is not, another is, and `taken` tells which.
 */
export class Ports {
  readonly #given = new Set<number>();
  readonly taken: { readonly wished: number; readonly given: number; readonly what: string }[] = [];
  readonly #ignoreWishes: boolean;
  #next = FIRST + Math.floor(Math.random() * (LAST - FIRST));

  constructor(options: { readonly ignoreWishes: boolean }) {
    this.#ignoreWishes = options.ignoreWishes;
  }

  async wish(port: number, what: string): Promise<number> {
    if (this.#ignoreWishes) return this.any();
    if (!this.#given.has(port) && (await isFree(port))) {
      this.#given.add(port);
      return port;
    }
    const given = await this.any();
    this.taken.push({ wished: port, given, what });
    return given;
  }

  async any(): Promise<number> {
    for (let tries = 0; tries < LAST - FIRST; tries += 1) {
      this.#next = this.#next >= LAST ? FIRST : this.#next + 1;
      if (this.#given.has(this.#next) || !(await isFree(this.#next))) continue;
      this.#given.add(this.#next);
      return this.#next;
    }
    throw new Error(`no TCP port between ${FIRST} and ${LAST} is free on 127.0.0.1`);
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
