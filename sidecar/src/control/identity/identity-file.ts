import { createPrivateKey } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import {
  Certificate,
  certificatesInPem,
  formatTrustBundle,
  parseTrustBundle,
  type TrustBundle,
} from "@heddle/identity";
import { checkOwnSvid } from "./check-svid.ts";
import type { Identity, OwnSvid } from "./own-identity.ts";
import { certificatePem } from "./own-secrets.ts";

/** One file, so that a key never lies beside another's certificate. */
const FILE = "identity.json";
const VERSION = 1;

/** A key, a chain and the bundles of some hundred domains. */
const MAX_BYTES = 8 * 1024 * 1024;

/** What was kept: an identity that has a certificate, which may have expired. */
export interface KeptIdentity extends Identity {
  readonly svid: OwnSvid;
  /** SHA-256 of the last token that the authority has said anything of, hexadecimal; undefined: not known. */
  readonly tokenDigest?: string | undefined;
}

/**
 * Keeps an identity across restarts, key included: a file of mode 0600 in a folder of this sidecar's own, written whole or not
 * at all. What cannot be read is as if it were not there; `load` then says why.
 */
export class IdentityFile {
  readonly #folder: string;
  readonly #path: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#path = join(folder, FILE);
  }

  /** Undefined: nothing has been kept. */
  load(nowMs: number): Result<KeptIdentity | undefined, string> {
    let text: string;
    let descriptor: number | undefined;
    try {
      // Not through a link, and without waiting where it is a pipe.
      descriptor = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const stats = fstatSync(descriptor);
      const fault = faultOf(stats);
      if (fault !== undefined) return err(`${this.#path}: ${fault}`);
      text = readFileSync(descriptor, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ELOOP") return err(`${this.#path}: is a link, and has to be the file itself`);
      return code === "ENOENT" ? ok(undefined) : err(`${this.#path}: cannot be read (${code ?? "unknown error"})`);
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
    const identity = read(text, nowMs);
    return identity.ok ? identity : err(`${this.#path}: ${identity.error}`);
  }

  /** The error says what is wrong with the folder. */
  save({ svid, bundles }: Identity, tokenDigest?: string): Result<void, string> {
    if (svid === undefined) return ok(undefined);
    const document = {
      version: VERSION,
      id: svid.id,
      certificates: certificatePem(svid.chain),
      key: svid.key,
      bundles: bundles.map((bundle) => ({ trustDomain: bundle.trustDomain, bundle: formatTrustBundle(bundle) })),
      ...(tokenDigest !== undefined && { tokenDigest }),
    };
    const temporary = `${this.#path}.new`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      rmSync(temporary, { force: true }); // of a process that died while it wrote
      const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
      const descriptor = openSync(temporary, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
      try {
        writeFileSync(descriptor, JSON.stringify(document));
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, this.#path);
      return ok(undefined);
    } catch (error) {
      return err(`${this.#folder}: cannot be written (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`);
    }
  }
}

/** Whose words these are: what stands in the file is believed, trust bundles included. */
function faultOf(stats: Stats): string | undefined {
  if (!stats.isFile()) return "is no file";
  const own = process.getuid?.();
  if (own !== undefined && stats.uid !== own && stats.uid !== 0) return "belongs to another user";
  // Somebody else has had the key, or may have.
  if ((stats.mode & 0o077) !== 0) return "others may read it; its mode has to be 0600";
  return stats.size > MAX_BYTES ? `has ${stats.size} bytes, allowed are ${MAX_BYTES}` : undefined;
}

function read(text: string, nowMs: number): Result<KeptIdentity, string> {
  let document: Json;
  try {
    document = JSON.parse(text);
  } catch {
    return err("is no JSON");
  }
  if (!isJsonObject(document) || document["version"] !== VERSION) return err("is of no version that is known");
  const { certificates, key, bundles: kept } = document;
  if (typeof certificates !== "string" || typeof key !== "string" || !Array.isArray(kept)) return err("is not whole");
  const bundles: TrustBundle[] = [];
  for (const one of kept) {
    if (!isJsonObject(one) || typeof one["trustDomain"] !== "string" || typeof one["bundle"] !== "string")
      return err("has a trust bundle that is none");
    const bundle = parseTrustBundle(one["trustDomain"], one["bundle"]);
    if (!bundle.ok) return err(`has a trust bundle that ${bundle.error}`);
    bundles.push(bundle.value);
  }
  try {
    const chain = certificatesInPem(certificates).map(({ der }) => der);
    // One that has expired may still be good for getting the next.
    const atMs = Math.min(nowMs, ...chain.map((der) => new Certificate(der).validToMs));
    const svid = checkOwnSvid({ chain, key: createPrivateKey(key), bundles: bundles.slice(0, 1) }, atMs);
    if (!svid.ok) return svid;
    const { tokenDigest } = document;
    return ok({ svid: svid.value, bundles, ...(typeof tokenDigest === "string" && { tokenDigest }) });
  } catch {
    return err("has a key that cannot be read"); // the error itself might show it
  }
}
