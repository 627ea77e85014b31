import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@heddle/base";
import { StartError } from "../serve/address.ts";
import type { ClusterAccess, Credentials } from "./cluster-access.ts";

export interface InClusterOptions {
  /** Of the process: where Kubernetes says its address. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Where a pod has its service account. */
  readonly folder?: string;
}

export const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Kubernetes replaces the token long before its end; client-go looks once a minute. */
const REREAD_MS = 10_000;

/** From within a pod, as its service account. Rejects with a `StartError` where this is no pod. */
export async function inClusterAccess(options: InClusterOptions): Promise<ClusterAccess> {
  const { environment, clock, folder = SERVICE_ACCOUNT_FOLDER } = options;
  const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (host === "")
    throw new StartError("--kubernetes: this is no pod (KUBERNETES_SERVICE_HOST is not set); give --kubeconfig FILE");
  const files = new AccountFiles(folder, clock);
  try {
    const namespace = (await readFile(join(folder, "namespace"), "utf8")).trim();
    await files.credentials();
    return {
      server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
      namespace,
      credentials: () => files.credentials(),
      forget: () => files.forget(),
    };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new StartError(`--kubernetes: the pod's service account in ${folder} cannot be read: ${code}`);
  }
}

class AccountFiles {
  readonly #folder: string;
  readonly #clock: Clock;
  #read: { readonly credentials: Credentials; readonly untilMs: number } | undefined;

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  async credentials(): Promise<Credentials> {
    if (this.#read !== undefined && this.#clock.now() < this.#read.untilMs) return this.#read.credentials;
    const [ca, token] = await Promise.all(
      ["ca.crt", "token"].map((name) => readFile(join(this.#folder, name), "utf8")),
    );
    const credentials: Credentials = {
      ca,
      certificate: undefined,
      key: undefined,
      serverName: undefined,
      headers: { authorization: `Bearer ${token?.trim()}` },
    };
    this.#read = { credentials, untilMs: this.#clock.now() + REREAD_MS };
    return credentials;
  }

  forget(): void {
    this.#read = undefined;
  }
}
