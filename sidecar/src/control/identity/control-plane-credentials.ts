import { createSecureContext, type TLSSocket } from "node:tls";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { Certificate, readSvid, type TrustBundle, TrustBundles } from "@heddle/identity";
import { verifyWithSkew } from "./check-svid.ts";
import type { OwnSvid } from "./own-identity.ts";
import { certificatePem } from "./own-secrets.ts";

/** Who the control plane is, whatever it is called in DNS. */
const CONTROL_PLANE_PATH = "/ns/heddle-system/sa/control-plane";

export interface ControlPlaneTrust {
  /** Undefined: whichever the certificate says, since the authorities do not name theirs. */
  readonly trustDomain: string | undefined;
  /** DER. */
  readonly authorities: readonly Uint8Array[];
}

/**
 * TLS to the control plane: it is believed by its SPIFFE ID and one of these authorities, and not by its name. With `svid` we show
 * who we are. Node verifies nothing here, since OpenSSL knows neither trust domains nor clocks that differ; ours is done before
 * a byte is sent.
 */
export function controlPlaneCredentials(
  trust: ControlPlaneTrust,
  svid: OwnSvid | undefined,
  wallNow: () => number,
): ChannelCredentials {
  const secureContext = createSecureContext({
    minVersion: "TLSv1.2",
    ...(svid && { cert: certificatePem(svid.chain), key: svid.key }),
  });
  const security = credentials.createFromSecureContext(secureContext, { rejectUnauthorized: false });
  const make = security._createSecureConnector.bind(security);
  security._createSecureConnector = (...how) => {
    const connector = make(...how);
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
      async connect(socket) {
        const connected = await connector.connect(socket);
        const fault = controlPlaneFault(chainOf(connected.socket as TLSSocket), trust, wallNow());
        if (fault === undefined) return connected;
        connected.socket.destroy();
        throw new Error(`this is not our control plane: ${fault}`);
      },
    };
  };
  return security;
}

/** Why that chain is not the control plane's, or undefined. */
function controlPlaneFault(
  chain: readonly Uint8Array[],
  { trustDomain, authorities }: ControlPlaneTrust,
  nowMs: number,
): string | undefined {
  const [leaf] = chain;
  if (leaf === undefined) return "no certificate was shown";
  const shown = readSvid(new Certificate(leaf));
  if (!shown.ok) return `its certificate ${shown.error}`;
  if (trustDomain !== undefined && shown.value.trustDomain !== trustDomain)
    return `its certificate is of another trust domain than ${trustDomain}`;
  const verified = verifyWithSkew(chain, new TrustBundles([bundleOf(shown.value.trustDomain, authorities)]), nowMs);
  if (!verified.ok) return verified.error;
  return verified.value.spiffeId.path === CONTROL_PLANE_PATH
    ? undefined
    : `its certificate names a workload that is not ${CONTROL_PLANE_PATH}`;
}

function bundleOf(trustDomain: string, x509Authorities: readonly Uint8Array[]): TrustBundle {
  return { trustDomain, x509Authorities, jwtAuthorities: [], sequenceNumber: 0, refreshHintSeconds: 0 };
}

/** As the peer has sent it, as far as each leads to the next. */
function chainOf(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate = socket.getPeerCertificate(true);
  // A certificate that has signed itself is its own issuer.
  while (certificate?.raw !== undefined && !chain.some((der) => certificate.raw.equals(der))) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}
