import { request } from "node:https";
import type { KubeAccess } from "./kube-config.ts";

/** What is looked at of a pod. */
export interface KubePod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly hostNetwork?: boolean; readonly initContainers?: readonly { readonly name: string }[] };
  readonly status?: { readonly phase?: string };
}

/** The API server did not answer as it should. */
export class KubeError extends Error {
  override readonly name = "KubeError";
  /** Of HTTP; undefined: nobody answered. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

const TIMEOUT_MS = 5000;
/** 250 pods of a large size. */
const MAX_BYTES = 32 * 1024 * 1024;

/** Three calls over HTTPS: a plugin that runs for every pod cannot load a client that takes a second. */
export class KubeApi {
  readonly #access: KubeAccess;

  constructor(access: KubeAccess) {
    this.#access = access;
  }

  async pod(namespace: string, name: string): Promise<KubePod> {
    return (await this.#send("GET", podPath(namespace, name))) as KubePod;
  }

  /** Pods of a node that were injected. */
  async injectedPods(node: string): Promise<readonly KubePod[]> {
    const query = new URLSearchParams({
      fieldSelector: `spec.nodeName=${node}`,
      labelSelector: "heddle.dev/injected=true",
      resourceVersion: "0", // what a replica of the API server has in memory is fresh enough
    });
    const list = (await this.#send("GET", `/api/v1/pods?${query.toString()}`)) as {
      readonly items?: readonly KubePod[];
    };
    return list.items ?? [];
  }

  async label({ metadata }: KubePod, labels: Readonly<Record<string, string>>): Promise<void> {
    await this.#send("PATCH", podPath(metadata.namespace, metadata.name), { metadata: { uid: metadata.uid, labels } });
  }

  /** That very pod, not one of its name that came later. */
  async delete({ metadata }: KubePod): Promise<void> {
    const options = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: metadata.uid } };
    await this.#send("DELETE", podPath(metadata.namespace, metadata.name), options);
  }

  async isReady(): Promise<void> {
    await this.#send("GET", "/version");
  }

  #send(method: string, path: string, body?: object): Promise<unknown> {
    const { server, serverName, ca, token, clientCertificate, clientKey } = this.#access;
    const url = new URL(path, server);
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const failed = (why: string, status?: number): KubeError =>
      new KubeError(`${method} ${url.host}${url.pathname}: ${why}`, status);
    return new Promise((resolve, reject) => {
      const call = request(
        url,
        {
          method,
          agent: false, // one connection, ended with the call
          signal: AbortSignal.timeout(TIMEOUT_MS),
          minVersion: "TLSv1.2",
          ...(ca === undefined ? {} : { ca }),
          ...(serverName === undefined ? {} : { servername: serverName }),
          ...(clientCertificate === undefined ? {} : { cert: clientCertificate }),
          ...(clientKey === undefined ? {} : { key: clientKey }),
          headers: {
            accept: "application/json",
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { "content-type": type }),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          let length = 0;
          response.on("data", (chunk: Buffer) => {
            length += chunk.length;
            if (length > MAX_BYTES) call.destroy(new Error(`more than ${MAX_BYTES} bytes`));
            else chunks.push(chunk);
          });
          response.on("error", (error) => reject(failed(error.message)));
          response.on("end", () => {
            const status = response.statusCode ?? 0;
            const parsed = parseJson(Buffer.concat(chunks).toString("utf8"));
            if (status >= 200 && status < 300 && parsed !== undefined) resolve(parsed);
            else reject(failed(`answered ${status}${reasonOf(parsed)}`, status));
          });
        },
      );
      call.on("error", (error) => {
        reject(
          failed(
            error.name === "AbortError" || error.name === "TimeoutError"
              ? `no answer within ${TIMEOUT_MS / 1000} s`
              : error.message,
          ),
        );
      });
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function podPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

/** The message of a Status of Kubernetes. */
function reasonOf(answer: unknown): string {
  const message = (answer as { message?: unknown } | undefined)?.message;
  return typeof message === "string" ? `: ${message}` : "";
}
