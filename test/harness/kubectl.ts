import { execFile, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { kubectlProgram } from "../../scripts/kube-api-server.ts";
import type { KubeEndpoint } from "./kube/kube-requests.ts";
import { adminKubeconfig } from "./kube/kubeconfig.ts";

/** The kubectl that was built beside the API server, or that of the system. */
const program = existsSync(kubectlProgram) ? kubectlProgram : "kubectl";

/** Why tests with kubectl skip; false where there is one. */
export const noKubectl: string | false =
  spawnSync(program, ["version", "--client"]).status === 0
    ? false
    : "not installed: kubectl (Debian: kubernetes-client)";

export interface KubectlAnswer {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs kubectl as an administrator of that server, in a namespace; its caches stay in the folder. */
export type Kubectl = (...words: readonly string[]) => Promise<KubectlAnswer>;

const TIMEOUT_MS = 60_000;

export function kubectlOf(server: KubeEndpoint, folder: string, namespace?: string): Kubectl {
  const kubeconfig = join(folder, "kubeconfig");
  writeFileSync(kubeconfig, adminKubeconfig(server, namespace), { mode: 0o600 });
  const options = { timeout: TIMEOUT_MS, env: { ...process.env, HOME: folder, KUBECONFIG: kubeconfig } };
  return async (...words) => {
    try {
      const { stdout, stderr } = await promisify(execFile)(program, words, options);
      return { ok: true, output: stdout + stderr };
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      return { ok: false, output: stdout + stderr };
    }
  };
}
