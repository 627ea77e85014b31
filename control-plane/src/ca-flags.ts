import { isIP } from "node:net";
import { err, ok, parseDurationMs, type Result } from "@heddle/base";
import { trustDomainFault } from "@heddle/identity";
import type { CaOptions } from "./ca/ca-options.ts";
import { type HostPort, parseHostPort } from "./serve/address.ts";

/* The part of the command line that is about the certificate authority. */

export const CA_OPTIONS = {
  "trust-domain": { type: "string" },
  "xds-tls-address": { type: "string" },
  "tls-san": { type: "string", multiple: true },
  "svid-ttl": { type: "string" },
  "renewal-grace": { type: "string" },
  "ca-passphrase-file": { type: "string" },
  "ca-certificate": { type: "string" },
  "ca-key": { type: "string" },
  "ca-root": { type: "string" },
  "join-tokens": { type: "string" },
  "token-review": { type: "string" },
  "token-review-ca": { type: "string" },
  "token-review-token": { type: "string" },
  "token-audience": { type: "string" },
} as const;

export const CA_HELP = `  --trust-domain NAME        be the certificate authority of that trust domain ("cluster.local"): sidecars get X.509-SVIDs, and
                             xDS is served over TLS too
  --xds-tls-address HOST:PORT
                             where xDS and the authority are served over TLS (127.0.0.1:15012)
  --tls-san NAME             a further DNS name or IP address of the control plane's own certificate; may be given more than
                             once. It has localhost and this machine's name
  --svid-ttl DURATION        how long certificates are good (24h)
  --renewal-grace DURATION   so long after its end a certificate is still good for getting the next one (as --svid-ttl)
  --ca-passphrase-file FILE  what the root's key in the store is sealed under: 32 bytes in hexadecimal or base64, or a
                             passphrase. By default a key that is made in the store's folder; needed with etcd
  --ca-certificate FILE and --ca-key FILE
                             an authority of your own in place of one that is made: what signs, with what leads to its root
  --ca-root FILE             its roots, where they are not in --ca-certificate; PEM, as the others. The files are followed
  --join-tokens FILE         join tokens that were made with heddle token join --local; followed
  --token-review URL         take tokens of Kubernetes service accounts by the word of that API server; in-cluster: of this
                             pod's
  --token-review-ca FILE and --token-review-token FILE
                             its authority, and our own token (of this pod's service account)
  --token-audience NAME      what service account tokens have to be made for (heddle)`;

type Values = { readonly [name in keyof typeof CA_OPTIONS]?: string | readonly string[] | undefined };

/** Certificates of less are renewed more often than timers are made for. */
const MIN_TTL_MS = 2000;
const MAX_TTL_MS = 90 * 86_400_000;
const DEFAULT_TTL = "24h";
const POD = "/var/run/secrets/kubernetes.io/serviceaccount";
const IN_CLUSTER = "https://kubernetes.default.svc";
const DNS_NAME = /^(?=.{1,253}$)(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** Undefined: no authority is asked for. On failure every reason. */
export function readCaFlags(values: Values): Result<CaOptions | undefined, readonly string[]> {
  const text = (name: keyof typeof CA_OPTIONS): string | undefined => values[name] as string | undefined; // one each
  const trustDomain = text("trust-domain");
  const faults: string[] = [];
  if (trustDomain === undefined) {
    for (const name of Object.keys(CA_OPTIONS) as (keyof typeof CA_OPTIONS)[])
      if (values[name] !== undefined)
        faults.push(`--${name}: needs --trust-domain, without which there is no authority`);
    return faults.length > 0 ? err(faults) : ok(undefined);
  }
  const fault = trustDomainFault(trustDomain);
  if (fault !== undefined) faults.push(`--trust-domain: found "${trustDomain.slice(0, 80)}", which ${fault}`);
  const address = parseHostPort(text("xds-tls-address") ?? "127.0.0.1:15012");
  if (!address.ok) faults.push(`--xds-tls-address: ${address.error}`);
  const tlsNames = (values["tls-san"] ?? []) as readonly string[]; // many
  for (const name of tlsNames)
    if (isIP(name) === 0 && !DNS_NAME.test(name))
      faults.push(`--tls-san: found "${name.slice(0, 80)}", allowed: a DNS name or an IP address`);
  const duration = (name: "svid-ttl" | "renewal-grace", byDefault: string, leastMs: number): number => {
    const read = parseDurationMs(text(name) ?? byDefault);
    if (!read.ok) faults.push(`--${name}: ${read.error}`);
    else if (read.value < leastMs || read.value > MAX_TTL_MS)
      faults.push(`--${name}: found "${text(name)}", allowed: ${leastMs / 1000}s to ${MAX_TTL_MS / 3_600_000}h`);
    return read.ok ? read.value : 0;
  };
  const svidTtlMs = duration("svid-ttl", DEFAULT_TTL, MIN_TTL_MS);
  const options: CaOptions = {
    trustDomain,
    tlsAddress: address.ok ? address.value : NOWHERE,
    tlsNames: tlsNames.map((name) => name.toLowerCase()),
    svidTtlMs,
    renewalGraceMs: text("renewal-grace") === undefined ? svidTtlMs : duration("renewal-grace", DEFAULT_TTL, 0),
    passphraseFile: text("ca-passphrase-file"),
    files: readFiles(text, faults),
    joinTokensFile: text("join-tokens"),
    tokenReview: readTokenReview(text, faults),
  };
  return faults.length > 0 ? err(faults) : ok(options);
}

const NOWHERE: HostPort = { host: "", port: 0 };

type Text = (name: keyof typeof CA_OPTIONS) => string | undefined;

function readFiles(text: Text, faults: string[]): CaOptions["files"] {
  const [certificateFile, keyFile, rootFile] = [text("ca-certificate"), text("ca-key"), text("ca-root")];
  if ((certificateFile === undefined) !== (keyFile === undefined))
    faults.push("--ca-certificate and --ca-key go together");
  if (rootFile !== undefined && certificateFile === undefined) faults.push("--ca-root: needs --ca-certificate");
  if (certificateFile === undefined || keyFile === undefined) return undefined;
  if (text("ca-passphrase-file") !== undefined)
    faults.push("--ca-passphrase-file: is for a root that is kept in the store, and --ca-key names a file");
  return { certificateFile, keyFile, rootFile };
}

function readTokenReview(text: Text, faults: string[]): CaOptions["tokenReview"] {
  const where = text("token-review");
  if (where === undefined) {
    for (const name of ["token-review-ca", "token-review-token", "token-audience"] as const)
      if (text(name) !== undefined) faults.push(`--${name}: needs --token-review`);
    return undefined;
  }
  const url = URL.parse(where === "in-cluster" ? IN_CLUSTER : where);
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.username !== "")
    faults.push(`--token-review: found "${where}", allowed: in-cluster, https://HOST:PORT`);
  return {
    url: url?.origin ?? "",
    caFile: text("token-review-ca") ?? `${POD}/ca.crt`,
    tokenFile: text("token-review-token") ?? `${POD}/token`,
    audience: text("token-audience") ?? "heddle",
  };
}
