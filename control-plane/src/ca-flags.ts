import { isIP } from "node:net";
import { err, ok, parseDurationMs, type Result } from "@heddle/base";
import { formatSpiffeId, parseSpiffeId, trustDomainFault } from "@heddle/identity";
import type { CaOptions } from "./ca/ca-options.ts";
import type { FederatedDomain } from "./ca/federation.ts";
import { controlPlaneId, workloadId } from "./ca/workload-id.ts";
import { type HostPort, parseHostPort } from "./serve/address.ts";

/* The part of the command line that is about the certificate authority. */

export const CA_OPTIONS = {
  "trust-domain": { type: "string" },
  "trust-domain-alias": { type: "string", multiple: true },
  "xds-tls-address": { type: "string" },
  "tls-san": { type: "string", multiple: true },
  "serving-names": { type: "string", multiple: true },
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
  "bundle-endpoint-address": { type: "string" },
  "bundle-endpoint-certificate": { type: "string" },
  "bundle-endpoint-key": { type: "string" },
  federate: { type: "string", multiple: true },
} as const;

export const CA_HELP = `  --trust-domain NAME        be the certificate authority of that trust domain ("cluster.local"): sidecars get X.509-SVIDs, and
                             xDS is served over TLS too
  --trust-domain-alias NAME  policies mean workloads of that trust domain as well where they mean the mesh's own (one that it had
                             before); may be given more than once. Who believes its certificates is for --federate to say
  --xds-tls-address HOST:PORT
                             where xDS and the authority are served over TLS (127.0.0.1:15012)
  --tls-san NAME             a further DNS name or IP address of the control plane's own certificate; may be given more than
                             once. It has localhost and this machine's name
  --serving-names NAMESPACE/ACCOUNT=NAME[,NAME]
                             DNS names that certificates of that account have besides their SPIFFE ID, for a server of its own
                             whose clients look at names (heddle injector); may be given more than once
  --svid-ttl DURATION        how long certificates are good (24h)
  --renewal-grace DURATION   so long after its end a certificate is still good for getting the next one (as --svid-ttl)
  --ca-passphrase-file FILE  what the root's key in the store is sealed under: 32 bytes in hexadecimal or base64, or a
                             passphrase. By default a key that is made in the store's folder; needed with etcd
  --ca-certificate FILE and --ca-key FILE
                             an authority of your own in place of one that is made: what signs, with what leads to its root
  --ca-root FILE             its roots, where they are not in --ca-certificate; PEM, as the others. The files are followed
  --join-tokens FILE         join tokens that were made with heddle token join --local; followed
  --token-review URL         take tokens of Kubernetes service accounts by the word of that API server; in-cluster: of this
                             pod's (with --kubernetes or --kubeconfig: by the word of that one)
  --token-review-ca FILE and --token-review-token FILE
                             its authority, and our own token (of this pod's service account)
  --token-audience NAME      what service account tokens have to be made for (heddle)
  --bundle-endpoint-address HOST:PORT
                             where other trust domains fetch our bundle, over HTTPS (nowhere)
  --bundle-endpoint-certificate FILE and --bundle-endpoint-key FILE
                             PEM, for the profile https_web; without them https_spiffe, with the control plane's own SVID
  --federate NAME=URL[,ca=FILE][,bundle=FILE[,id=SPIFFE-ID]]
                             know the workloads of that trust domain by the bundle at URL; may be given more than once. With
                             bundle, its first one, the endpoint is known by its SPIFFE ID (https_spiffe;
                             spiffe://NAME/ns/heddle-system/sa/control-plane), else by its name and the system's authorities
                             or those in ca (https_web)`;

type Values = { readonly [name in keyof typeof CA_OPTIONS]?: string | readonly string[] | undefined };

/** Certificates of less are renewed more often than timers are made for. */
const MIN_TTL_MS = 2000;
const MAX_TTL_MS = 90 * 86_400_000;
const DEFAULT_TTL = "24h";
const DEFAULT_AUDIENCE = "heddle";
const POD = "/var/run/secrets/kubernetes.io/serviceaccount";
const IN_CLUSTER = "https://kubernetes.default.svc";
const DNS_NAME = /^(?=.{1,253}$)(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/**
 * Undefined: no authority is asked for. On failure every reason.
 *
 * @param hasCluster the control plane follows a cluster, which knows its service accounts' tokens.
 */
export function readCaFlags(
  values: Values,
  { hasCluster = false }: { readonly hasCluster?: boolean } = {},
): Result<CaOptions | undefined, readonly string[]> {
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
  const aliases = (values["trust-domain-alias"] ?? []) as readonly string[]; // many
  for (const name of aliases) {
    const wrong = trustDomainFault(name);
    if (wrong !== undefined) faults.push(`--trust-domain-alias: found "${name.slice(0, 80)}", which ${wrong}`);
  }
  const address = parseHostPort(text("xds-tls-address") ?? "127.0.0.1:15012");
  if (!address.ok) faults.push(`--xds-tls-address: ${address.error}`);
  const tlsNames = (values["tls-san"] ?? []) as readonly string[]; // many
  for (const name of tlsNames)
    if (isIP(name) === 0 && !DNS_NAME.test(name))
      faults.push(`--tls-san: found "${name.slice(0, 80)}", allowed: a DNS name or an IP address`);
  const servingNames = readServingNames((values["serving-names"] ?? []) as readonly string[], trustDomain, faults); // many
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
    ...(aliases.length > 0 && { trustDomainAliases: aliases }),
    tlsAddress: address.ok ? address.value : NOWHERE,
    tlsNames: tlsNames.map((name) => name.toLowerCase()),
    ...(servingNames.size > 0 && { servingNames }),
    svidTtlMs,
    renewalGraceMs: text("renewal-grace") === undefined ? svidTtlMs : duration("renewal-grace", DEFAULT_TTL, 0),
    passphraseFile: text("ca-passphrase-file"),
    files: readFiles(text, faults),
    joinTokensFile: text("join-tokens"),
    tokenReview: readTokenReview(text, hasCluster, faults),
    tokenAudience: text("token-audience") ?? DEFAULT_AUDIENCE,
    bundleEndpoint: readBundleEndpoint(text, faults),
    federated: readFederated((values.federate ?? []) as readonly string[], trustDomain, faults), // many
  };
  return faults.length > 0 ? err(faults) : ok(options);
}

const NOWHERE: HostPort = { host: "", port: 0 };

function readServingNames(
  words: readonly string[],
  trustDomain: string,
  faults: string[],
): ReadonlyMap<string, readonly string[]> {
  const namesOf = new Map<string, readonly string[]>();
  for (const word of words) {
    const [, namespace = "", account = "", list = ""] = /^([^/=]*)\/([^/=]*)=(.*)$/.exec(word) ?? [];
    const id = workloadId(trustDomain, namespace, account);
    const names = list.toLowerCase().split(",");
    if (!id.ok || !names.every((name) => DNS_NAME.test(name)))
      faults.push(
        `--serving-names: found "${word.slice(0, 100)}", allowed: NAMESPACE/ACCOUNT=NAME[,NAME] with DNS names`,
      );
    else if (namesOf.has(id.value.path)) faults.push(`--serving-names: found ${namespace}/${account} a second time`);
    else namesOf.set(id.value.path, names);
  }
  return namesOf;
}

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

function readTokenReview(text: Text, hasCluster: boolean, faults: string[]): CaOptions["tokenReview"] {
  const where = text("token-review");
  if (where === undefined) {
    for (const name of ["token-review-ca", "token-review-token", "token-audience"] as const)
      if (text(name) !== undefined && !(hasCluster && name === "token-audience"))
        faults.push(`--${name}: needs --token-review`);
    return undefined;
  }
  const url = URL.parse(where === "in-cluster" ? IN_CLUSTER : where);
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.username !== "")
    faults.push(`--token-review: found "${where}", allowed: in-cluster, https://HOST:PORT`);
  return {
    url: url?.origin ?? "",
    caFile: text("token-review-ca") ?? `${POD}/ca.crt`,
    tokenFile: text("token-review-token") ?? `${POD}/token`,
    audience: text("token-audience") ?? DEFAULT_AUDIENCE,
  };
}

function readBundleEndpoint(text: Text, faults: string[]): CaOptions["bundleEndpoint"] {
  const where = text("bundle-endpoint-address");
  const [certificateFile, keyFile] = [text("bundle-endpoint-certificate"), text("bundle-endpoint-key")];
  if ((certificateFile === undefined) !== (keyFile === undefined))
    faults.push("--bundle-endpoint-certificate and --bundle-endpoint-key go together");
  if (where === undefined) {
    if (certificateFile !== undefined) faults.push("--bundle-endpoint-certificate: needs --bundle-endpoint-address");
    return undefined;
  }
  const address = parseHostPort(where);
  if (!address.ok) faults.push(`--bundle-endpoint-address: ${address.error}`);
  const certificate = certificateFile === undefined || keyFile === undefined ? undefined : { certificateFile, keyFile };
  return address.ok ? { address: address.value, certificate } : undefined;
}

function readFederated(words: readonly string[], own: string, faults: string[]): FederatedDomain[] {
  const domains: FederatedDomain[] = [];
  for (const word of words) {
    const read = readFederatedDomain(word, own);
    if (!read.ok) faults.push(`--federate: ${read.error}`);
    else if (domains.some(({ trustDomain }) => trustDomain === read.value.trustDomain))
      faults.push(`--federate: found ${read.value.trustDomain} a second time`);
    else domains.push(read.value);
  }
  return domains;
}

const FEDERATE_FORM = "NAME=https://HOST[:PORT][/PATH][,ca=FILE][,bundle=FILE[,id=SPIFFE-ID]]";

function readFederatedDomain(word: string, own: string): Result<FederatedDomain, string> {
  const [, trustDomain = "", address = "", rest = ""] = /^([^=]*)=([^,]*)(.*)$/.exec(word) ?? [];
  const fault = trustDomainFault(trustDomain);
  const url = URL.parse(address);
  if (fault !== undefined || url?.protocol !== "https:" || url.username !== "" || url.password !== "")
    return err(`found "${word.slice(0, 100)}", allowed: ${FEDERATE_FORM}`);
  // Whoever has that address would speak for our own workloads.
  if (trustDomain === own) return err(`${own} is the own trust domain, for which nobody else speaks`);
  const options = new Map<string, string>();
  for (const part of rest.split(",").slice(1)) {
    const [, name = "", value = ""] = /^(ca|bundle|id)=(.+)$/.exec(part) ?? [];
    if (name === "" || options.has(name)) return err(`found "${part.slice(0, 100)}", allowed: ${FEDERATE_FORM}`);
    options.set(name, value);
  }
  const [caFile, bundleFile, idText] = [options.get("ca"), options.get("bundle"), options.get("id")];
  if (bundleFile === undefined && idText !== undefined) return err("id goes with bundle");
  if (bundleFile !== undefined && caFile !== undefined) return err("ca and bundle exclude each other");
  const id = parseSpiffeId(idText ?? formatSpiffeId(controlPlaneId(trustDomain)));
  if (!id.ok) return err(`id: ${id.error}`);
  // Its keys are those of the bundle that is fetched there, which is this trust domain's.
  if (id.value.trustDomain !== trustDomain) return err(`id: allowed is one of ${trustDomain}`);
  return ok({
    trustDomain,
    url: url.href,
    caFile,
    spiffe: bundleFile === undefined ? undefined : { id: id.value, bundleFile },
  });
}
