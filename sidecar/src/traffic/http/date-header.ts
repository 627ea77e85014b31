import type { Clock } from "@heddle/base";

/** The `date` field (RFC 9110 §6.6.1), formatted once a second. */
export class DateHeader {
  readonly #clock: Clock;
  #second = -1;
  #text = "";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get value(): string {
    const second = Math.floor(this.#clock.wallNow() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Date(second * 1000).toUTCString(); // IMF-fixdate
    }
    return this.#text;
  }
}
