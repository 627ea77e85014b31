import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ControlPlaneProcess } from "./control-plane-process.ts";
import { type MeshWorkload, startMeshWorkload } from "./mesh-workload.ts";
import type { Owner } from "./owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "./sidecar.ts";
import { type IssuedSvid, issueSvid } from "./svid-client.ts";

const TRUST_DOMAIN = "cluster.local";
const NAMES = ["web", "orders"] as const;

/** The token of the role admin. */
const ADMIN = "an-administrators-token";

export interface JoinedMeshOptions {
  /** `--svid-ttl` */
  readonly svidTtl: string;
  readonly flags?: readonly string[];
  /** More flags of the sidecars. */
  readonly sidecarFlags?: readonly string[];
  /** More flags of the sidecar of web. */
  readonly webFlags?: readonly string[];
  /** A program and its arguments that run the sidecar of web. */
  readonly webWrap?: readonly string[];
  /** Lines of level error that the sidecars may log. */
  readonly expectedErrors?: RegExp;
}

/**
 * Whole programs: our control plane, which is the authority, and two sidecars with an application each that have joined it by
 * tokens. `web` calls `orders`.
 */
export class JoinedMesh {
  readonly controlPlane: ControlPlaneProcess;
  readonly sidecars = new Map<string, SidecarProcess>();
  /** Where web calls others. */
  readonly webOutbound: number;
  /** Where others call orders. */
  readonly ordersPort: number;

  private constructor(controlPlane: ControlPlaneProcess, workloads: ReadonlyMap<string, MeshWorkload>) {
    this.controlPlane = controlPlane;
    this.webOutbound = workloads.get("web")?.outboundPort ?? 0;
    this.ordersPort = workloads.get("orders")?.port ?? 0;
  }

  static async start(owner: Owner, options: JoinedMeshOptions): Promise<JoinedMesh> {
    const folder = scratchFolder(owner);
    const config = join(folder, "config");
    mkdirSync(config);
    const tokens = new Map<string, string>();
    const workloads = new Map<string, MeshWorkload>();
    for (const name of NAMES) {
      tokens.set(name, `hjt_${randomBytes(32).toString("base64url")}`);
      const workload = await startMeshWorkload(name, owner);
      workloads.set(name, workload);
      writeFileSync(join(config, `${name}.yaml`), workload.yaml);
    }
    const joinTokens = join(folder, "join-tokens.yaml");
    const entries = [...tokens].map(([name, token]) => ({
      sha256: sha256(token),
      spiffeId: `spiffe://${TRUST_DOMAIN}/ns/default/sa/${name}`,
      expires: "2099-01-01T00:00:00Z",
    }));
    writeFileSync(joinTokens, JSON.stringify(entries));
    const apiTokens = join(folder, "tokens.yaml");
    writeFileSync(apiTokens, JSON.stringify([{ name: "admin", role: "admin", sha256: sha256(ADMIN) }]));
    const files = ["--config", config, "--store", join(folder, "store"), "--api-tokens", apiTokens];
    const authority = ["--trust-domain", TRUST_DOMAIN, "--svid-ttl", options.svidTtl, "--join-tokens", joinTokens];
    const controlPlane = new ControlPlaneProcess(owner, files.concat(authority, options.flags ?? []));
    await controlPlane.start();
    const mesh = new JoinedMesh(controlPlane, workloads);
    const bundle = join(folder, "ca.pem");
    writeFileSync(bundle, await controlPlane.page("/ca/bundle"));
    await Promise.all(
      NAMES.map(async (name) => {
        const flags = ["--control-plane", `127.0.0.1:${controlPlane.tlsPort}`, "--node-id", `default/${name}/1`];
        const sidecar = await startSidecar(undefined, owner, {
          flags: [
            ...flags,
            "--ca-bundle",
            bundle,
            ...(options.sidecarFlags ?? []),
            ...(name === "web" ? (options.webFlags ?? []) : []),
          ],
          environment: { HEDDLE_JOIN_TOKEN: tokens.get(name) ?? "" },
          ...(name === "web" && options.webWrap && { wrap: options.webWrap }),
          ...(options.expectedErrors && { expectedErrors: options.expectedErrors }),
        });
        mesh.sidecars.set(name, sidecar);
      }),
    );
    return mesh;
  }

  /** What a sidecar says of its certificates, over all sidecars the least. */
  async least(stat: string): Promise<number> {
    return Math.min(...(await Promise.all([...this.sidecars.values()].map((sidecar) => sidecar.stat(stat)))));
  }

  /** `begin`, or `next`: the step of a root rotation that is waited for. */
  async rotateRoot(step: "begin" | "next"): Promise<number> {
    return (await this.#administer("rotate", { step })).status;
  }

  /** A certificate for an account, got as a sidecar gets it, with a join token of its own. */
  async newSvid(account: string): Promise<IssuedSvid> {
    const answer = await this.#administer("join-tokens", { namespace: "default", account });
    const { token } = JSON.parse(answer.body) as { readonly token: string };
    const id = { trustDomain: TRUST_DOMAIN, path: `/ns/default/sa/${account}` };
    return issueSvid(this.controlPlane.xdsPort, id, token);
  }

  async #administer(what: string, body: object): Promise<{ readonly status: number; readonly body: string }> {
    const response = await fetch(`http://127.0.0.1:${this.controlPlane.apiPort}/v1/ca/${what}`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN}`, "content-type": "application/json", connection: "close" },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.text() };
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
