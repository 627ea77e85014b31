import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { freePort } from "../../bench/path/peer.ts";
import { ControlPlaneProcess } from "./control-plane-process.ts";
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
  webOutbound = 0;
  /** Where others call orders. */
  ordersPort = 0;

  private constructor(controlPlane: ControlPlaneProcess) {
    this.controlPlane = controlPlane;
  }

  static async start(owner: Owner, options: JoinedMeshOptions): Promise<JoinedMesh> {
    const folder = scratchFolder(owner);
    const config = join(folder, "config");
    mkdirSync(config);
    const tokens = new Map<string, string>();
    const ports = new Map<string, { readonly port: number; readonly outbound: number }>();
    for (const name of NAMES) {
      tokens.set(name, `hjt_${randomBytes(32).toString("base64url")}`);
      const application = await startApplication(name, owner);
      const [port, outbound] = [await freePort(), await freePort()];
      ports.set(name, { port, outbound });
      writeFileSync(join(config, `${name}.yaml`), workloadOf(name, port, outbound, application));
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
    const mesh = new JoinedMesh(controlPlane);
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
    mesh.webOutbound = ports.get("web")?.outbound ?? 0;
    mesh.ordersPort = ports.get("orders")?.port ?? 0;
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

async function startApplication(name: string, owner: Owner): Promise<number> {
  const application = createServer((request, response) => {
    response.end(JSON.stringify({ name, client: request.headers["x-forwarded-client-cert"] ?? null }));
  }).listen(0, "127.0.0.1");
  await once(application, "listening");
  owner.after(() => application.close().closeAllConnections());
  return (application.address() as AddressInfo).port;
}

function workloadOf(name: string, port: number, outboundPort: number, applicationPort: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ port: 80 }] }
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  addresses: [127.0.0.1]
  ports: [{ name: http, port: ${port}, applicationPort: ${applicationPort} }]
  outboundPort: ${outboundPort}
  serviceAccount: ${name}
`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
