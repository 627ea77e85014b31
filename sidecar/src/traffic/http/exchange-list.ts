import type { HttpExchange } from "./http-exchange.ts";

/**
 * The open exchanges of one connection, in the order in which they began. An exchange is its own place in the list, so
 * that one that comes and goes allocates nothing; HTTP/1 has one or none.
 *
 * Whatever is called here may end exchanges, the one that is called or all of them: the next one is known before, and one
 * that has left has no next.
 */
export class ExchangeList {
  #first: HttpExchange | undefined = undefined;
  /** Undefined: the first is the last, or there is none. */
  #last: HttpExchange | undefined = undefined;
  size = 0;

  add(exchange: HttpExchange): void {
    if (this.#first === undefined) this.#first = exchange;
    else {
      const last = this.#last ?? this.#first;
      last.nextOpen = exchange;
      exchange.previousOpen = last;
      this.#last = exchange;
    }
    this.size++;
  }

  /** To be called once. */
  delete(exchange: HttpExchange): void {
    const { previousOpen, nextOpen } = exchange;
    if (previousOpen === undefined) this.#first = nextOpen;
    else previousOpen.nextOpen = nextOpen;
    if (nextOpen === undefined) this.#last = previousOpen;
    else nextOpen.previousOpen = previousOpen;
    exchange.previousOpen = undefined;
    exchange.nextOpen = undefined;
    this.size--;
  }

  /** What is served inside of tunnels takes nothing new. */
  drainInsides(): void {
    for (let exchange = this.#first, next = exchange?.nextOpen; exchange !== undefined; exchange = next) {
      next = exchange.nextOpen;
      exchange.inside?.drain();
    }
  }

  checkDeadlines(now: number): void {
    for (let exchange = this.#first, next = exchange?.nextOpen; exchange !== undefined; exchange = next) {
      next = exchange.nextOpen;
      exchange.checkDeadlines(now);
    }
  }

  /** The earliest moment at which something may have to be done; Infinity where there is none. */
  nextDeadline(): number {
    let earliest = Infinity;
    for (let exchange = this.#first; exchange !== undefined; exchange = exchange.nextOpen) {
      earliest = Math.min(earliest, exchange.nextDeadline());
    }
    return earliest;
  }
}
