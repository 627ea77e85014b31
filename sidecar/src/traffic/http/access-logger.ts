import type { Exchange } from "@heddle/filter";

/** Writes the line of an exchange that has ended. Never waits and never throws. */
export interface AccessLogger {
  log(exchange: Exchange): void;
}
