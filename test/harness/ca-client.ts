import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { Certificate, certificateRequest, newWorkloadKey, privateKeyPem, type SpiffeId } from "@heddle/identity";
import { decodeMessage, encodeMessage } from "@heddle/proto";

const ISSUE = "/heddle.identity.v1.CertificateAuthority/IssueCertificate";

/** A workload's certificate and key. */
export interface HeldSvid {
  /** PEM. */
  readonly certificates: string;
  /** PEM. */
  readonly key: string;
  readonly leaf: Certificate;
}

/** A new key and a request for it. */
export function newSvidRequest(id: SpiffeId | undefined) {
  const key = newWorkloadKey();
  return { key: privateKeyPem(key), csr: certificateRequest(key, id) };
}

/**
 * Asks the authority at that port for a certificate, over a connection of its own. Rejects with gRPC's error.
 *
 * @param trusted PEM of whom the control plane is known by.
 */
export async function requestSvid(
  port: number,
  trusted: string,
  { key, csr }: ReturnType<typeof newSvidRequest>,
  proof: { readonly token?: string; readonly svid?: HeldSvid },
): Promise<HeldSvid> {
  const metadata = new Metadata();
  if (proof.token !== undefined) metadata.set("authorization", `Bearer ${proof.token}`);
  const client = new Client(`127.0.0.1:${port}`, securityOf(trusted, proof.svid), {
    "grpc.ssl_target_name_override": "localhost",
    "grpc.use_local_subchannel_pool": 1,
  });
  try {
    const answer = await new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(
        ISSUE,
        asIs,
        asIs,
        Buffer.from(encodeMessage("heddle.identity.v1.IssueCertificateRequest", { csr })),
        metadata,
        { deadline: systemClock.wallNow() + 60_000 },
        (error: ServiceError | null, bytes) =>
          error === null && bytes ? resolve(bytes) : reject(error as ServiceError),
      );
    });
    const message = decodeMessage("heddle.identity.v1.IssueCertificateResponse", answer);
    if (!message.ok) throw new Error(message.error);
    const chain = (message.value["certificates"] as readonly Uint8Array[]).map((der) => new Certificate(der));
    return { certificates: chain.map(({ pem }) => pem).join(""), key, leaf: chain[0]! };
  } finally {
    client.close();
  }
}

function securityOf(trusted: string, svid: HeldSvid | undefined): ChannelCredentials {
  if (svid === undefined) return credentials.createSsl(Buffer.from(trusted));
  return credentials.createSsl(Buffer.from(trusted), Buffer.from(svid.key), Buffer.from(svid.certificates));
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
