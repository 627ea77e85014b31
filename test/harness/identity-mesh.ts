import { chmodSync } from "node:fs";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { Snapshots, worldOf } from "@heddle/control-plane/testing";
import type { UnknownDestinations } from "@heddle/mesh";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import { makeResourceTypes } from "@heddle/xds";
import { XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import { adsBootstrap } from "./control-plane.ts";
import type { Json } from "./envoy-config.ts";
import { type MeshWorkload, startMeshWorkload } from "./mesh-workload.ts";
import type { Owner } from "./owner.ts";
import { type SidecarOptions, type SidecarProcess, startSidecar } from "./sidecar.ts";

const TRUST_DOMAIN = "mesh.test";
const SPIFFE_VALIDATOR = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/**
 * A mesh whose sidecars have identities, and what the control plane generates of it: with certificates out of their bootstraps, and
 * a control plane that takes each node's word for who it is, which none but a test may.
 */
export class IdentityMesh {
  readonly authority = new TestAuthority("Mesh");
  readonly #owner: Owner;
  readonly #snapshots: Snapshots;
  readonly #xds: XdsServer;
  readonly #server = new Server(xdsServerOptions);
  readonly #workloads: string[] = [];
  #policies: readonly string[] = [];
  #port = 0;

  private constructor(owner: Owner, unknown: UnknownDestinations) {
    this.#owner = owner;
    const types = makeResourceTypes({ httpFilters: "unchecked" });
    this.#snapshots = new Snapshots(types, { trustDomain: TRUST_DOMAIN }, unknown);
    this.#xds = new XdsServer({
      source: {
        watch: (node, onChange) => {
          const account = node.id.split("/")[1] ?? "";
          const identity = { trustDomain: TRUST_DOMAIN, path: `/ns/default/sa/${account}` };
          return this.#snapshots.watch(account.startsWith("nobody") ? node : { ...node, identity }, onChange);
        },
      },
      log: quietLog,
      metrics: quietMetrics,
      clock: systemClock,
      identifier: "test",
    });
  }

  /** @param unknown what captured sidecars do with what the mesh does not know. */
  static async start(owner: Owner, unknown: UnknownDestinations = "passthrough"): Promise<IdentityMesh> {
    const mesh = new IdentityMesh(owner, unknown);
    mesh.#xds.addTo(mesh.#server);
    mesh.#port = await mesh.#bind("127.0.0.1:0");
    owner.after(() => {
      mesh.#xds.close();
      mesh.#server.forceShutdown();
    });
    return mesh;
  }

  /** Serves at a Unix socket too, which every user and every network namespace reaches. */
  async serveAt(path: string): Promise<void> {
    await this.#bind(`unix:${path}`);
    chmodSync(path, 0o777);
  }

  /** Services and workloads that others than this class run. */
  put(...yaml: readonly string[]): void {
    this.#workloads.push(...yaml);
    this.#publish();
  }

  certificate(account: string): TestCertificate {
    return this.authority.issue({ uris: [`spiffe://${TRUST_DOMAIN}/ns/default/sa/${account}`] });
  }

  async add(name: string): Promise<MeshWorkload> {
    const workload = await startMeshWorkload(name, this.#owner);
    this.#workloads.push(workload.yaml);
    this.#publish();
    return workload;
  }

  /** Replaces all policies. */
  setPolicies(...policies: readonly string[]): void {
    this.#policies = policies;
    this.#publish();
  }

  /**
   * @param shown its certificate; by default the one that it should have.
   * @param socket where it finds the control plane: see `serveAt`.
   */
  async run(
    { name }: Pick<MeshWorkload, "name">,
    shown: TestCertificate = this.certificate(name),
    options: SidecarOptions = {},
    socket?: string,
  ): Promise<SidecarProcess> {
    const at = socket === undefined ? this.#port : { pipe: { path: socket } };
    const bootstrap = adsBootstrap(at, "delta") as { readonly static_resources: object };
    const inline = (inline_string: string): Json => ({ inline_string });
    const bundle = { name: TRUST_DOMAIN, trust_bundle: inline(this.authority.certificate) };
    const validator = { "@type": SPIFFE_VALIDATOR, trust_domains: [bundle] };
    const secrets = [
      { name: "default", tls_certificate: { certificate_chain: inline(shown.chain), private_key: inline(shown.key) } },
      {
        name: "ROOTCA",
        validation_context: {
          custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config: validator },
        },
      },
    ];
    return startSidecar(
      {
        ...bootstrap,
        node: { id: `default/${name}/1`, cluster: name },
        static_resources: { ...bootstrap.static_resources, secrets },
      },
      this.#owner,
      options,
    );
  }

  /** Who has rejected something, and why. */
  get rejections(): readonly string[] {
    return this.#xds
      .nodes()
      .flatMap(({ node, types }) =>
        types.flatMap(({ rejected }) => (rejected === undefined ? [] : [`${node.id}: ${rejected.message}`])),
      );
  }

  #bind(address: string): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
  }

  #publish(): void {
    this.#snapshots.publish(worldOf(...this.#workloads, ...this.#policies));
  }
}
