import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import { parseTrustBundle, type TrustBundle, TrustBundles, trustBundleFromPem } from "@heddle/identity";
import type { SpiffeValidatorConfig } from "./tls-config.ts";

export interface SpiffeTrustFault {
  /** Below the validator: "trust_domains[1].name". */
  readonly where: string;
  readonly message: string;
}

/** Who speaks for which trust domain, from wherever it stands. Of what has not been read nothing is trusted. */
export function spiffeTrust(config: SpiffeValidatorConfig): Result<TrustBundles, readonly SpiffeTrustFault[]> {
  // As in Envoy the map counts more.
  return config.bundleMap === undefined ? fromList(config) : fromMap(config.bundleMap.content);
}

function fromList({ trustDomains }: SpiffeValidatorConfig): Result<TrustBundles, readonly SpiffeTrustFault[]> {
  const bundles = new Map<string, TrustBundle>();
  const faults: SpiffeTrustFault[] = [];
  for (const [index, { name, bundle }] of trustDomains.entries()) {
    const where = `trust_domains[${index}]`;
    if (bundles.has(name))
      faults.push({ where: `${where}.name`, message: `${JSON.stringify(name)} stands here twice` });
    if (bundle.content === undefined) continue;
    const read = trustBundleFromPem(name, bundle.content);
    if (read.ok) bundles.set(name, read.value);
    else faults.push({ where, message: read.error });
  }
  return faults.length > 0 ? err(faults) : ok(new TrustBundles(bundles.values()));
}

/** {"trust_domains": {NAME: a bundle as the standard has it (SPIFFE Trust Domain and Bundle §4)}} */
function fromMap(content: string | undefined): Result<TrustBundles, readonly SpiffeTrustFault[]> {
  if (content === undefined) return ok(new TrustBundles([]));
  const fault = (message: string): Result<TrustBundles, readonly SpiffeTrustFault[]> =>
    err([{ where: "trust_bundles", message }]);
  let document: Json;
  try {
    document = JSON.parse(Buffer.from(content, "latin1").toString());
  } catch {
    return fault("is no JSON");
  }
  const domains = isJsonObject(document) ? document["trust_domains"] : undefined;
  if (domains === undefined || !isJsonObject(domains)) return fault('has no object "trust_domains"');
  const bundles: TrustBundle[] = [];
  const faults: SpiffeTrustFault[] = [];
  for (const [name, bundle] of Object.entries(domains)) {
    const read = parseTrustBundle(name, JSON.stringify(bundle));
    if (read.ok) bundles.push(read.value);
    else faults.push({ where: `trust_bundles.trust_domains[${JSON.stringify(name)}]`, message: read.error });
  }
  if (bundles.length + faults.length === 0) return fault("names no trust domain, so nobody could be let in");
  return faults.length > 0 ? err(faults) : ok(new TrustBundles(bundles));
}
