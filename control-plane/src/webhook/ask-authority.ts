import type { DetailedPeerCertificate } from "node:tls";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { err, ok, type Result } from "@heddle/base";
import {
  Certificate,
  formatSpiffeId,
  readSvid,
  TrustBundles,
  trustBundleFromDer,
  trustBundleFromPem,
  trustBundlePem,
  verifySvid,
} from "@heddle/identity";
import { decodeMessage, encodeMessage, fieldOf, type Message, messageOf, messagesOf, textOf } from "@heddle/proto";
import { MESSAGES, SERVICE } from "../ca/identity-messages.ts";
import { controlPlaneId } from "../ca/workload-id.ts";
import { formatHostPort, type HostPort } from "../serve/address.ts";
import { certificateChainOf } from "../serve/certificate-chain.ts";

export interface AuthorityCall {
  readonly address: HostPort;
  /** PEM: by whom the control plane is known. */
  readonly authorities: string;
  /** Of our service account. A secret. */
  readonly token: string;
  readonly csr: Uint8Array;
  readonly wallNowMs: number;
}

export interface AuthorityAnswer {
  /** PEM, the leaf first. */
  readonly certificateChain: string;
  /** PEM: all that are to be trusted for the mesh's own trust domain. */
  readonly roots: string;
  readonly notAfterMs: number;
}

const DEADLINE_MS = 15_000;
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/**
 * Has the mesh's authority, in another process, sign a key. It is known by its SPIFFE ID and these authorities, whatever it is
 * called. The error shows nothing of the token. Never rejects.
 */
export async function askAuthority(call: AuthorityCall): Promise<Result<AuthorityAnswer, string>> {
  const { address, authorities, token, csr, wallNowMs } = call;
  const security = credentials.createSsl(Buffer.from(authorities), null, null, {
    checkServerIdentity: (_name, certificate) => {
      const fault = controlPlaneFault(
        certificateChainOf(certificate as DetailedPeerCertificate),
        authorities,
        wallNowMs,
      );
      return fault === undefined ? undefined : new Error(`this is not our control plane: ${fault}`);
    },
  });
  const client = new Client(formatHostPort(address), security, {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  });
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const request = Buffer.from(encodeMessage(MESSAGES.issueRequest, { csr }));
  try {
    const answer = await new Promise<Result<Buffer, string>>((resolve) => {
      const options = { deadline: wallNowMs + DEADLINE_MS };
      client.makeUnaryRequest(`/${SERVICE}/IssueCertificate`, asIs, asIs, request, metadata, options, (error, bytes) =>
        resolve(error === null ? ok(bytes ?? Buffer.alloc(0)) : err(described(error))),
      );
    });
    return answer.ok ? read(answer.value) : answer;
  } finally {
    client.close();
  }
}

/** OpenSSL has verified the chain; what it knows nothing of is trust domains and SPIFFE IDs. */
function controlPlaneFault(chain: readonly Uint8Array[], authorities: string, nowMs: number): string | undefined {
  const [leaf] = chain;
  const shown = leaf === undefined ? err("was not shown") : readSvid(new Certificate(leaf));
  if (!shown.ok) return `its certificate ${shown.error}`;
  const { trustDomain } = shown.value;
  const bundle = trustBundleFromPem(trustDomain, authorities);
  if (!bundle.ok) return `the file of its authorities ${bundle.error}`;
  const verified = verifySvid(chain, new TrustBundles([bundle.value]), nowMs);
  if (!verified.ok) return verified.error;
  return formatSpiffeId(verified.value.spiffeId) === formatSpiffeId(controlPlaneId(trustDomain))
    ? undefined
    : "its certificate is another workload's";
}

function read(bytes: Uint8Array): Result<AuthorityAnswer, string> {
  const message = decodeMessage(MESSAGES.issueResponse, bytes);
  if (!message.ok) return message;
  const chain = ((fieldOf(message.value, "certificates") ?? []) as readonly Uint8Array[]).map(
    (der) => new Certificate(der),
  );
  const [leaf] = chain;
  if (leaf === undefined || chain.some(({ malformed }) => malformed)) return err("the answer has no certificate");
  const domain = readSvid(leaf);
  if (!domain.ok) return err(`what was issued ${domain.error}`);
  const bundles: readonly Message[] = messagesOf(messageOf(message.value, "bundles") ?? {}, "bundles");
  const own = bundles.find((bundle) => textOf(bundle, "trust_domain") === domain.value.trustDomain);
  const roots = ((own && fieldOf(own, "x509_authorities")) ?? []) as readonly Uint8Array[];
  const bundle = trustBundleFromDer(domain.value.trustDomain, roots);
  if (!bundle.ok) return err(`the trust bundle ${bundle.error}`);
  return ok({
    certificateChain: chain.map(({ pem }) => pem).join(""),
    roots: trustBundlePem(bundle.value),
    notAfterMs: leaf.validToMs,
  });
}

function described({ code, details }: ServiceError): string {
  return `${details === "" ? "no reason is given" : details} (${status[code] ?? code})`;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
