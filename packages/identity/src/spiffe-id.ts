import { err, ok, type Result } from "@heddle/base";

/** A workload's name in the mesh (SPIFFE-ID §2): its trust domain, and a path that begins with "/" or is empty. */
export interface SpiffeId {
  /** Lower case. */
  readonly trustDomain: string;
  /** "/ns/shop/sa/web"; "" for the trust domain itself. */
  readonly path: string;
}

/** SPIFFE-ID §2.3 */
const MAX_ID_BYTES = 2048;
const MAX_TRUST_DOMAIN_BYTES = 255;

export function formatSpiffeId({ trustDomain, path }: SpiffeId): string {
  return `spiffe://${trustDomain}${path}`;
}

/** Reads an ID as the standard has it and no wider; the error says what is wrong, and repeats nothing of the text. */
export function parseSpiffeId(text: string): Result<SpiffeId, string> {
  if (text.length > MAX_ID_BYTES) return err(`has more than ${MAX_ID_BYTES} bytes`);
  const scheme = /^spiffe:\/\//i.exec(text);
  if (scheme === null) return err('does not begin with "spiffe://"');
  const rest = text.slice(scheme[0].length);
  const slash = rest.indexOf("/");
  const domain = slash === -1 ? rest : rest.slice(0, slash);
  const path = slash === -1 ? "" : rest.slice(slash);
  // §2.1: compared without regard to case, so the lower-case form is the one that is kept.
  const trustDomain = domain.toLowerCase();
  const fault = trustDomainFault(trustDomain) ?? pathFault(path);
  return fault === undefined ? ok({ trustDomain, path }) : err(fault);
}

/** Why this is not the name of a trust domain, or undefined. */
export function trustDomainFault(name: string): string | undefined {
  if (name === "") return "has no trust domain";
  if (name.length > MAX_TRUST_DOMAIN_BYTES) return `has a trust domain of more than ${MAX_TRUST_DOMAIN_BYTES} bytes`;
  // §2.1: no user info, no port, no percent-encoding: none of their characters is among these.
  return /^[a-z0-9._-]+$/.test(name)
    ? undefined
    : "has a trust domain with other characters than a-z, 0-9, '.', '-', '_'";
}

/** §2.2 */
function pathFault(path: string): string | undefined {
  if (path === "") return undefined;
  for (const segment of path.slice(1).split("/")) {
    if (segment === "") return "has an empty path segment, or a slash at its end";
    if (segment === "." || segment === "..") return 'has a path segment "." or ".."';
    if (!/^[a-zA-Z0-9._-]+$/.test(segment))
      return "has a path with other characters than letters, digits, '.', '-', '_'";
  }
  return undefined;
}
