import type { AccessLogType } from "@heddle/telemetry";
import type { HttpExchange } from "./http-exchange.ts";

/** Writes the lines of exchanges. Never waits and never throws. */
export interface AccessLogger {
  log(exchange: HttpExchange, type: AccessLogType): void;
  /** Its manager has ended: lets go of the files that nobody else writes to. */
  close(): void;
}
