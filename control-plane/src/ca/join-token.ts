import { createHash, randomBytes } from "node:crypto";

/*
 * A join token: 256 random bits, with which one workload asks for its first certificate, once. It is kept as its SHA-256 alone;
 * a slow hash would help nobody against 256 bits, and be a way to stop the authority.
 */

const PREFIX = "hjt_";
const FORM = /^hjt_[\w-]{43}$/;

export function makeJoinToken(): string {
  return PREFIX + randomBytes(32).toString("base64url");
}

/** Whether a bearer's token is meant as a join token. */
export function isJoinToken(token: string): boolean {
  return token.startsWith(PREFIX);
}

/** What a token is kept as: 64 hexadecimal digits. Undefined: it is none. */
export function hashJoinToken(token: string): string | undefined {
  return FORM.test(token) ? createHash("sha256").update(token).digest("hex") : undefined;
}
