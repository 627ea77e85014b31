import { createPrivateKey, type KeyObject } from "node:crypto";
import { err, ok, type Result } from "@heddle/base";
import {
  Certificate,
  DerTag,
  derElements,
  formatSpiffeId,
  parseSpiffeId,
  type TrustBundle,
  trustBundleFromDer,
} from "@heddle/identity";
import { bytesOf, decodeMessage, encodeMessage, fieldOf, messagesOf, textOf } from "@heddle/proto";
import type { Identity } from "../own-identity.ts";

/* The messages of the SPIFFE Workload API (X.509-SVID profile, §5), as plain objects, and as bytes. */

export const FETCH_X509_SVID = "/SpiffeWorkloadAPI/FetchX509SVID";
export const FETCH_X509_BUNDLES = "/SpiffeWorkloadAPI/FetchX509Bundles";

/** The JWT-SVID profile, which is not offered. */
export const JWT_METHODS = [
  "/SpiffeWorkloadAPI/FetchJWTSVID",
  "/SpiffeWorkloadAPI/FetchJWTBundles",
  "/SpiffeWorkloadAPI/ValidateJWTSVID",
];

/** Every call has to bear it, so that no request that a server was tricked into reaches us (Workload Endpoint §3). */
export const SECURITY_HEADER = "workload.spiffe.io";

export const MAX_WORKLOAD_MESSAGE_BYTES = 4 * 1024 * 1024;

const SVID_RESPONSE = "heddle.spiffe.v1.X509SvidResponse";
const BUNDLES_RESPONSE = "heddle.spiffe.v1.X509BundlesResponse";

/** What an agent says a workload is. */
export interface WorkloadSvid {
  readonly id: string;
  /** DER, the leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
  /** Its own trust domain's first. */
  readonly bundles: readonly TrustBundle[];
}

/**
 * The default identity, which is the first (§5.3), and all bundles: each response is the whole of it (§4.3). One that lacks a
 * mandatory field is none (§4.5). The error shows nothing of a key.
 */
export function decodeX509SvidResponse(bytes: Uint8Array): Result<WorkloadSvid, string> {
  const message = decodeMessage(SVID_RESPONSE, bytes);
  if (!message.ok) return err("it is no X509SVIDResponse");
  const [svid] = messagesOf(message.value, "svids");
  if (svid === undefined) return err("svids: is empty");
  const id = parseSpiffeId(textOf(svid, "spiffe_id"));
  if (!id.ok) return err(`svids[0].spiffe_id: ${id.error}`);
  const chain = certificatesOf(bytesOf(svid, "x509_svid"));
  if (chain === undefined) return err("svids[0].x509_svid: is empty, or no certificates");
  const key = privateKeyOf(bytesOf(svid, "x509_svid_key"));
  if (key === undefined) return err("svids[0].x509_svid_key: is empty, or no private key");
  const own = bundleOf(id.value.trustDomain, bytesOf(svid, "bundle"));
  if (!own.ok) return err(`svids[0].bundle: ${own.error}`);
  const bundles = [own.value];
  const federated = (fieldOf(message.value, "federated_bundles") ?? {}) as Readonly<Record<string, Uint8Array>>;
  for (const [name, der] of Object.entries(federated)) {
    const domain = parseSpiffeId(name);
    if (!domain.ok) return err(`federated_bundles: a name ${domain.error}`);
    if (domain.value.path !== "") return err("federated_bundles: a name is of a workload");
    const bundle = bundleOf(domain.value.trustDomain, der);
    if (!bundle.ok) return err(`federated_bundles["${name}"]: ${bundle.error}`);
    // Nobody else speaks for our own trust domain.
    if (domain.value.trustDomain !== id.value.trustDomain) bundles.push(bundle.value);
  }
  return ok({ id: formatSpiffeId(id.value), chain, key, bundles });
}

/** Undefined: there is no identity to tell of. */
export function encodeX509SvidResponse({ svid, bundles: [own, ...federated] }: Identity): Buffer | undefined {
  if (svid === undefined || own === undefined) return undefined;
  const key = createPrivateKey(svid.key).export({ type: "pkcs8", format: "der" });
  const one = {
    spiffe_id: svid.id,
    x509_svid: joined(svid.chain),
    x509_svid_key: key,
    bundle: joined(own.x509Authorities),
  };
  return Buffer.from(encodeMessage(SVID_RESPONSE, { svids: [one], federated_bundles: byDomain(federated) }));
}

/** Undefined: there are none to tell of. */
export function encodeX509BundlesResponse({ bundles }: Identity): Buffer | undefined {
  if (bundles.length === 0) return undefined;
  return Buffer.from(encodeMessage(BUNDLES_RESPONSE, { bundles: byDomain(bundles) }));
}

function byDomain(bundles: readonly TrustBundle[]): { [name: string]: Buffer } {
  return Object.fromEntries(
    bundles.map(({ trustDomain, x509Authorities }) => [`spiffe://${trustDomain}`, joined(x509Authorities)]),
  );
}

function joined(certificates: readonly Uint8Array[]): Buffer {
  return Buffer.concat(certificates);
}

/** One behind the other. Undefined: there is none, or something else among them. */
function certificatesOf(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  if (bytes.length === 0) return undefined;
  try {
    const elements = derElements(bytes);
    const all = elements.map(({ whole }) => Uint8Array.from(whole));
    const good =
      elements.every(({ tag }) => tag === DerTag.Sequence) && all.every((der) => !new Certificate(der).malformed);
    return good ? all : undefined;
  } catch {
    return undefined;
  }
}

function privateKeyOf(bytes: Uint8Array): KeyObject | undefined {
  try {
    return createPrivateKey({ key: Buffer.from(bytes), format: "der", type: "pkcs8" });
  } catch {
    return undefined; // the error itself might show it
  }
}

function bundleOf(trustDomain: string, bytes: Uint8Array): Result<TrustBundle, string> {
  const authorities = certificatesOf(bytes);
  return authorities === undefined ? err("is empty, or no certificates") : trustBundleFromDer(trustDomain, authorities);
}
