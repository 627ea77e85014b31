import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestAuthority } from "@heddle/identity/testing";

/** An SVID in PEM, as files. */
export interface IdentityFiles {
  readonly certificate: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants them. */
  readonly both: string;
  readonly spiffeId: string;
  /** A DNS name that it has beside its SPIFFE ID. */
  readonly host: string;
}

export interface Identities {
  readonly authority: string;
  readonly front: IdentityFiles;
  readonly back: IdentityFiles;
}

/** Two workloads of one trust domain, P-256, with the files that proxies read. */
export function makeIdentities(folder: string): Identities {
  const authority = new TestAuthority("bench");
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const identity = (name: string): IdentityFiles => {
    const [spiffeId, host] = [`spiffe://${TRUST_DOMAIN}/ns/default/sa/${name}`, `${name}.bench`];
    const { chain, key } = authority.issue({ commonName: name, uris: [spiffeId], dns: [host], usage: "both" });
    const files = { certificate: file(`${name}.pem`, chain), key: file(`${name}.key`, key) };
    return { ...files, both: file(`${name}-both.pem`, chain + key), spiffeId, host };
  };
  return { authority: file("authority.pem", authority.certificate), front: identity("front"), back: identity("back") };
}

export const TRUST_DOMAIN = "bench.example";
