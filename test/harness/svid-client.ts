import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { credentials, loadPackageDefinition, Metadata, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { certificateRequest, newWorkloadKey, privateKeyPem, type SpiffeId } from "@heddle/identity";
import { projectRoot } from "./imports.ts";

/** PEM. */
export interface IssuedSvid {
  readonly certificate: string;
  readonly key: string;
}

/** Asks the authority as somebody would who has its .proto file alone. */
export async function issueSvid(port: number, id: SpiffeId, joinToken: string): Promise<IssuedSvid> {
  const file = join(projectRoot, "proto/heddle/identity/v1/identity.proto");
  const { heddle } = loadPackageDefinition(loadSync(file)) as unknown as {
    readonly heddle: {
      readonly identity: { readonly v1: { readonly CertificateAuthority: ServiceClientConstructor } };
    };
  };
  const client = new heddle.identity.v1.CertificateAuthority(`127.0.0.1:${port}`, credentials.createInsecure());
  const key = newWorkloadKey();
  const csr = certificateRequest(key, id);
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${joinToken}`);
  try {
    const { certificates } = await new Promise<{ readonly certificates: readonly Buffer[] }>((resolve, reject) => {
      client["issueCertificate"]?.({ csr }, metadata, (error: Error | null, answer: never) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
    const pem = certificates.map((der) => new X509Certificate(der).toString()).join("");
    return { certificate: pem, key: privateKeyPem(key) };
  } finally {
    client.close();
  }
}
