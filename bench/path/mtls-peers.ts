import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startHaproxyWith } from "./haproxy.ts";
import { type Identities, type IdentityFiles, TRUST_DOMAIN } from "./identities.ts";
import { freePort, type Peer, start } from "./peer.ts";
import { address, cluster, endpoints, listener, NODE_ID, ROUTES, sidecarCommand } from "./sidecar-config.ts";

/*
 * Two proxies in a row, HTTP/2 everywhere: plaintext before the first and behind the second, mutual TLS between them. As in a mesh,
 * where each stands beside an application.
 */

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const H2 = { http2: true, tls: undefined };

export async function startSidecars(
  folder: string,
  upstream: number,
  entry: string,
  name: string,
  workers: number,
  { authority, front, back }: Identities,
): Promise<Peer> {
  const accepting = { "@type": `${TLS}.DownstreamTlsContext`, require_client_certificate: true };
  const calling = { "@type": `${TLS}.UpstreamTlsContext`, sni: back.host };
  const behind = await startOne("back", socket(accepting, back, front, authority), {}, upstream);
  const first = await startOne("front", {}, socket(calling, front, back, authority), behind.port);
  return { ...first, name, behind };

  async function startOne(which: string, chain: object, toUpstream: object, to: number): Promise<Peer> {
    const [port, admin] = [await freePort(), await freePort()];
    const plain = listener(port, { route_config: ROUTES }, H2) as { readonly filter_chains: readonly object[] };
    const bootstrap = {
      node: { id: NODE_ID, cluster: "bench" },
      admin: { address: address(admin) },
      static_resources: {
        listeners: [{ ...plain, filter_chains: [{ ...plain.filter_chains[0], ...chain }] }],
        clusters: [{ ...cluster(H2), ...toUpstream, type: "STATIC", load_assignment: endpoints(to) }],
      },
    };
    const config = join(folder, `${name}-${which}-${port}.json`);
    writeFileSync(config, JSON.stringify(bootstrap));
    return start(`${name}, ${which}`, port, [...sidecarCommand(entry, workers), "-c", config]);
  }
}

/** A transport socket that shows one SVID and believes another one. */
export function socket(context: object, shown: IdentityFiles, believed: IdentityFiles, authority: string): object {
  const spiffe = {
    "@type": `${TLS}.SPIFFECertValidatorConfig`,
    trust_domains: [{ name: TRUST_DOMAIN, trust_bundle: { filename: authority } }],
  };
  const common_tls_context = {
    alpn_protocols: ["h2"],
    tls_certificates: [{ certificate_chain: { filename: shown.certificate }, private_key: { filename: shown.key } }],
    validation_context: {
      custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config: spiffe },
      match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: believed.spiffeId } }],
    },
  };
  return {
    transport_socket: { name: "envoy.transport_sockets.tls", typed_config: { ...context, common_tls_context } },
  };
}

export async function startHaproxies(
  folder: string,
  upstream: number,
  { authority, front, back }: Identities,
): Promise<Peer> {
  const behind = await startHaproxyWith(folder, upstream, {
    bind: `ssl crt ${back.both} ca-file ${authority} verify required alpn h2`,
    server: "proto h2",
  });
  const name = `sni str(${back.host}) verifyhost ${back.host}`;
  const first = await startHaproxyWith(folder, behind.port, {
    bind: "proto h2",
    server: `ssl crt ${front.both} ca-file ${authority} verify required ${name} alpn h2`,
  });
  return { ...first, behind };
}
