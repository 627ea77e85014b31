import { type FrameError, protocolError } from "./frame-error.ts";
import { Flag } from "./frame-header.ts";

export const TOO_MUCH_PADDING = protocolError("padding as long as the payload");

/** Where the content of a padded payload lies; functions return one thing. */
export const CONTENT = { from: 0, to: 0 };

/**
 * Finds the content of a payload that may be padded, behind `fixed` more bytes, into `CONTENT` (RFC 9113 §6.1, §6.2, §6.6). Padding
 * that leaves no room for what must be there is an error of the connection.
 */
export function findContent(payload: Uint8Array, flags: number, fixed: number): FrameError | undefined {
  const padded = (flags & Flag.Padded) !== 0;
  const from = (padded ? 1 : 0) + fixed;
  const to = payload.length - (padded ? (payload[0] ?? 0) : 0);
  if (from > to) return TOO_MUCH_PADDING;
  CONTENT.from = from;
  CONTENT.to = to;
  return undefined;
}
