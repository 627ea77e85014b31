import { readFileSync, statSync } from "node:fs";
import { err, ok, type Result } from "@heddle/base";

/** What a sidecar without a certificate proves itself with. */
export interface CallerTokens {
  /** Of Kubernetes, which writes it anew before it expires. */
  readonly serviceAccountTokenFile?: string | undefined;
  readonly joinTokenFile?: string | undefined;
  /** From the environment. */
  readonly joinToken?: string | undefined;
}

/** A service account's has some kilobytes. */
const MAX_TOKEN_BYTES = 64 * 1024;

/**
 * The token to prove oneself with now: files are read anew each time. Undefined: none is configured. The error says what is wrong
 * with the file, and shows nothing of what is in it.
 */
export function readCallerToken(tokens: CallerTokens): Result<string | undefined, string> {
  const path = tokens.serviceAccountTokenFile ?? tokens.joinTokenFile;
  if (path === undefined)
    return tokens.joinToken === undefined ? ok(undefined) : checked(tokens.joinToken, "the token");
  try {
    const { size } = statSync(path);
    if (size > MAX_TOKEN_BYTES) return err(`${path}: has ${size} bytes, allowed are ${MAX_TOKEN_BYTES}`);
    return checked(readFileSync(path, "latin1"), path);
  } catch (error) {
    return err(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`);
  }
}

function checked(text: string, where: string): Result<string, string> {
  const token = text.trim();
  if (token === "") return err(`${where}: is empty`);
  // As a header takes it (RFC 6750 §2.1).
  return /^[A-Za-z0-9._~+/=-]+$/.test(token)
    ? ok(token)
    : err(`${where}: holds other characters than a token may have`);
}
