import { type Clock, err, Live, ok, type Result } from "@heddle/base";
import { certificatesInPem } from "@heddle/identity";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { MeshAuthority } from "../ca/mesh-authority.ts";
import { OwnSvid, type TlsIdentity } from "../ca/own-svid.ts";
import type { ServerNames } from "../ca/signer.ts";
import { controlPlaneId } from "../ca/workload-id.ts";
import { StartError } from "../serve/address.ts";
import { followPair, type PairFiles, readPair } from "../serve/tls-pair.ts";
import { followFile } from "./followed-file.ts";

/** What the webhooks' server shows to API servers, renewed while it runs. */
export interface ServingCertificate {
  /** Undefined: there is none that is good. */
  readonly identity: Live<Pick<TlsIdentity, "certificateChain" | "privateKey"> | undefined>;
  /** PEM: by whom an API server can know it; for `caBundle`. Undefined: not known here. */
  readonly roots: Live<string | undefined>;
  close(): Promise<void>;
}

export interface CertificateParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

/** Of the mesh's authority in this process: a key of its own, whose certificate has these names. */
export async function certificateOfAuthority(
  authority: MeshAuthority,
  names: ServerNames,
  { clock, log, metrics }: CertificateParts,
): Promise<ServingCertificate> {
  const own = new OwnSvid({
    authority,
    spiffeId: controlPlaneId(authority.trustDomain),
    names,
    clock,
    log,
    metrics: metrics.scope("webhook"),
  });
  const rootsNow = (): string | undefined =>
    authority.bundles.current
      .authoritiesOf(authority.trustDomain)
      .map(({ pem }) => pem)
      .join("") || undefined;
  const roots = new Live(rootsNow());
  const unwatch = authority.bundles.watch(() => roots.publish(rootsNow()));
  await own.start();
  return {
    identity: own.current,
    roots,
    close: async () => {
      unwatch();
      await own.close();
    },
  };
}

/** Of files that somebody else renews. `caFile`: what signed it, where the webhook configurations are to have it. */
export async function certificateOfFiles(
  files: PairFiles,
  caFile: string | undefined,
  { clock, log }: CertificateParts,
): Promise<ServingCertificate> {
  const pair = await readPair(files);
  if (typeof pair === "string") throw new StartError(`webhook certificate: ${pair}`);
  const identity: ServingCertificate["identity"] = new Live<ReturnType<typeof toIdentity> | undefined>(
    toIdentity(pair),
  );
  const authority =
    caFile === undefined ? undefined : followFile(caFile, "webhook certificate authority", readAuthorities, clock, log);
  const follower = followPair(files, pair, (next) => void identity.publish(toIdentity(next)), "webhook", clock, log);
  return {
    identity,
    roots: authority?.current ?? new Live<string | undefined>(undefined),
    close: async () => {
      follower.close();
      authority?.close();
    },
  };
}

/** Certificates of authorities in a file: PEM, each readable. */
export function readAuthorities(text: string): Result<string | undefined, string> {
  const certificates = certificatesInPem(text);
  if (certificates.length === 0) return err("holds no certificate in PEM");
  if (certificates.some(({ malformed }) => malformed)) return err("holds a certificate that cannot be read");
  return ok(certificates.map(({ pem }) => pem).join(""));
}

function toIdentity({ certificate, key }: { readonly certificate: string; readonly key: string }) {
  return { certificateChain: certificate, privateKey: key };
}
