import type { Certificate } from "./certificate.ts";
import { DerError, DerTag, derElement, derElements } from "./der.ts";

/**
 * Why those below a signing certificate are not within its name constraints (RFC 5280 §4.2.1.10), or undefined. Constraints
 * on URIs are understood (X509-SVID §4.2); those on other kinds of names are met by certificates that have none of the
 * kind, and by no others.
 */
export function nameConstraintsFault(
  constraints: Uint8Array | undefined,
  below: readonly Certificate[],
): string | undefined {
  if (constraints === undefined) return undefined;
  try {
    const lists = derElements(derElement(constraints, DerTag.Sequence).content);
    for (const { tag, content } of lists) {
      const bases = derElements(content).map((subtree) => baseOf(subtree.content));
      const uris = bases.filter((base) => base.tag === URI).map((base) => Buffer.from(base.content).toString("latin1"));
      const others = bases.filter((base) => base.tag !== URI);
      for (const certificate of below) {
        if (others.some((base) => hasNamesOf(base.tag, certificate)))
          return "constrains names in a way that is not understood";
        if (uris.length > 0 && !urisMeet(certificate, uris, tag === PERMITTED))
          return "does not allow the names of those below it";
      }
    }
    return undefined;
  } catch (error) {
    if (error instanceof DerError) return "has name constraints that cannot be read";
    throw error;
  }
}

const PERMITTED = 0xa0;
const URI = 0x86;

/** GeneralSubtree: a name, and a depth that is always 0 and left out. */
function baseOf(content: Uint8Array): { readonly tag: number; readonly content: Uint8Array } {
  const [base, ...more] = derElements(content);
  if (base === undefined || more.length > 0) throw new DerError("a constraint of no known form");
  return base;
}

function hasNamesOf(tag: number, certificate: Certificate): boolean {
  switch (tag) {
    case 0x81:
      return certificate.emailSans.length > 0;
    case 0x82:
      return certificate.dnsSans.length > 0;
    case 0x87:
      return certificate.ipSans.length > 0;
    case 0xa4:
      return certificate.subject !== "";
    case 0xa0:
      return certificate.otherNames.length > 0;
    default:
      return true;
  }
}

function urisMeet(certificate: Certificate, hosts: readonly string[], permitted: boolean): boolean {
  return certificate.uriSans.every((uri) => {
    // The constraint is on the host: a URI without one meets none that permits.
    const host = /^[a-z][a-z0-9+.-]*:\/\/([^/?#:@]+)/i.exec(uri)?.[1]?.toLowerCase();
    const within = host !== undefined && hosts.some((base) => isWithin(host, base.toLowerCase()));
    return within === permitted;
  });
}

/** "host.example": that host; ".example": every host below it. */
function isWithin(host: string, base: string): boolean {
  return base.startsWith(".") ? host.endsWith(base) && host.length > base.length : host === base;
}
