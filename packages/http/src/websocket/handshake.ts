import { createHash, randomBytes } from "node:crypto";

/** RFC 6455 §1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A fresh `sec-websocket-key` (RFC 6455 §4.1): 16 random bytes in base64. HTTP/2 has none (RFC 8441 §5). */
export function webSocketKey(): string {
  return randomBytes(16).toString("base64");
}

/** The `sec-websocket-accept` for a key (RFC 6455 §4.2.2, 5.4). */
export function webSocketAccept(key: string): string {
  return createHash("sha1")
    .update(key + GUID, "latin1")
    .digest("base64");
}
