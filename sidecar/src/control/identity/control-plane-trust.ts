import { readFileSync, statSync } from "node:fs";
import { err, ok, type Result } from "@heddle/base";
import { type Certificate, certificatesInPem, parseSpiffeId, type TrustBundle } from "@heddle/identity";
import type { ControlPlaneTrust } from "./control-plane-credentials.ts";

const MAX_FILE_BYTES = 1024 * 1024;

/** The authorities in a file of PEM (`--ca-bundle`), and the trust domain that they name themselves after, if they do. */
export function readTrustFile(path: string): Result<ControlPlaneTrust, string> {
  let certificates: readonly Certificate[];
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES) return err(`${path}: has ${size} bytes, allowed are ${MAX_FILE_BYTES}`);
    certificates = certificatesInPem(readFileSync(path, "latin1"));
  } catch (error) {
    return err(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? "it is no PEM"})`);
  }
  if (certificates.length === 0) return err(`${path}: holds no certificate in PEM`);
  if (certificates.some(({ malformed }) => malformed)) return err(`${path}: holds a certificate that cannot be read`);
  const domains = new Set(certificates.flatMap(({ uriSans }) => uriSans.flatMap(domainOf)));
  if (domains.size > 1) return err(`${path}: its authorities are of several trust domains; one is allowed`);
  return ok({ trustDomain: [...domains][0], authorities: certificates.map(({ der }) => der) });
}

/**
 * Whom the control plane may be attested by: those of the file, which an operator may replace, and those that the mesh has told of
 * since, so that a root that was changed meanwhile is known.
 */
export function joinTrust(file: ControlPlaneTrust, own: TrustBundle | undefined): ControlPlaneTrust {
  if (own === undefined) return file;
  return {
    trustDomain: file.trustDomain ?? own.trustDomain,
    authorities: [...own.x509Authorities, ...file.authorities],
  };
}

function domainOf(uri: string): readonly string[] {
  const id = parseSpiffeId(uri);
  return id.ok ? [id.value.trustDomain] : [];
}
