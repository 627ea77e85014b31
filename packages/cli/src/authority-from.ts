import { systemClock } from "@heddle/base";
import { Authority } from "@heddle/identity/ca";
import type { AuthorityPems } from "@heddle/inject/install";
import { UsageError } from "./command.ts";
import { readText } from "./injection.ts";

/**
 * Reads `CERTIFICATES,KEY[,ROOTS]`, files in PEM, as the control plane will: what would keep its replicas from starting is an error here. Throws a
 * `UsageError`, which holds nothing of the key.
 */
export function readAuthorityFrom(files: string, trustDomain: string): AuthorityPems {
  const [certificateFile, keyFile, rootFile, ...more] = files.split(",");
  if (certificateFile === undefined || keyFile === undefined || more.length > 0)
    throw new UsageError(`--authority-from: found "${files}", allowed is CERTIFICATES,KEY[,ROOTS]`);
  const [, shown] = readText(certificateFile);
  const [, privateKey] = readText(keyFile);
  // One file for all, as `--ca-certificate` takes it.
  const certificates = rootFile === undefined ? shown : `${shown.trimEnd()}\n${readText(rootFile)[1]}`;
  const authority = Authority.fromFiles({ trustDomain, certificates, privateKey, nowMs: systemClock.wallNow() });
  if (!authority.ok) throw new UsageError(`--authority-from: ${authority.error}`);
  return { certificates, privateKey };
}
