import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_ID } from "./sidecar-config.ts";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const [NAMESPACE, ACCOUNT] = NODE_ID.split("/") as [string, string];
const SPIFFE_ID = `spiffe://cluster.local/ns/${NAMESPACE}/sa/${ACCOUNT}`;

/**
 * What a sidecar needs to join a mesh, and the mesh to take it: a join token for each start (they are
 * good for one), and transport sockets of mutual TLS in which the sidecar's own secrets stand.
 */
export class MeshIdentity {
  /** Of the control plane. */
  readonly flags: readonly string[];
  /** Beside the fields of a filter chain, and of a cluster. */
  readonly inbound: object = transportSocket({
    "@type": `${TLS}.DownstreamTlsContext`,
    require_client_certificate: true,
  });
  readonly outbound: object = transportSocket({ "@type": `${TLS}.UpstreamTlsContext` });
  readonly #bundle: string;
  readonly #tokenFiles: string[];

  /** @param starts how many sidecars will join. */
  constructor(folder: string, starts: number) {
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const tokens = Array.from({ length: starts }, () => `hjt_${randomBytes(32).toString("base64url")}`);
    const entries = tokens.map((token) => ({
      sha256: createHash("sha256").update(token).digest("hex"),
      spiffeId: SPIFFE_ID,
      expires: "2099-01-01T00:00:00Z",
    }));
    this.flags = [
      "--trust-domain",
      "cluster.local",
      "--join-tokens",
      write("join-tokens.json", JSON.stringify(entries)),
    ];
    this.#bundle = join(folder, "bundle.pem");
    this.#tokenFiles = tokens.map((token, index) => write(`join-${index}.token`, token));
  }

  /** The authority's certificates, PEM: by them the sidecars know the control plane. */
  trust(bundle: string): void {
    writeFileSync(this.#bundle, bundle);
  }

  /** Of the next sidecar that joins. */
  nextSidecarFlags(): readonly string[] {
    const tokenFile = this.#tokenFiles.pop();
    if (tokenFile === undefined) throw new Error("more sidecars join than there are tokens for");
    return ["--ca-bundle", this.#bundle, "--join-token-file", tokenFile];
  }
}

function transportSocket(context: object): object {
  const common_tls_context = {
    alpn_protocols: ["h2"],
    tls_certificate_sds_secret_configs: [{ name: "default" }],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: SPIFFE_ID } }],
      },
      validation_context_sds_secret_config: { name: "ROOTCA" },
    },
  };
  const typed_config = { ...context, common_tls_context };
  return { transport_socket: { name: "envoy.transport_sockets.tls", typed_config } };
}
