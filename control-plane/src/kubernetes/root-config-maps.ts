import { Backoff, type Clock, isJsonObject, type Timer } from "@heddle/base";
import { CA_ROOT_CONFIG_MAP } from "@heddle/inject";
import type { Log } from "@heddle/telemetry";
import type { KubeApi } from "./kube-client.ts";
import { KubeError, reasonOf } from "./kube-error.ts";
import { pause } from "./pause.ts";
import { Reflector } from "./reflector.ts";
import { collectionPath, METADATA_ONLY, NAMESPACES, type WatchedKind } from "./watched-kinds.ts";

export interface RootConfigMapsOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined: all that there are. */
  readonly namespaces: readonly string[] | undefined;
  /** What is to stand there, PEM; undefined: nothing is known yet. */
  readonly rootPem: () => string | undefined;
  readonly random?: () => number;
}

const CONFIG_MAPS: WatchedKind = {
  apiVersion: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  isCustom: false,
  isDispensable: false,
  hasStatus: false,
};
const FILE = "root.pem";
const EVERY_MS = 20;
const BACKOFF = { baseMs: 2000, maxMs: 60_000 };

/**
 * Keeps the roots of the mesh's authority in a ConfigMap of each namespace, where pods mount it and know the control plane by
 * it. What somebody changes or deletes there is put right again. By the leader alone.
 */
export class RootConfigMaps {
  readonly #options: RootConfigMapsOptions;
  #term: Term | undefined;

  constructor(options: RootConfigMapsOptions) {
    this.#options = options;
  }

  /** We are the leader. */
  start(): void {
    if (this.#term !== undefined) return;
    const { api, clock, namespaces, random } = this.#options;
    const shared = { api, clock, ...(random && { random }), onChange: () => this.look() };
    const query = { fieldSelector: `metadata.name=${CA_ROOT_CONFIG_MAP}` };
    const maps = (namespaces ?? [undefined]).map(
      (namespace) =>
        new Reflector<string>({
          ...shared,
          path: collectionPath(CONFIG_MAPS, namespace),
          query,
          read: ({ json }) => {
            const data = json["data"];
            const text = isJsonObject(data) ? data[FILE] : undefined;
            return typeof text === "string" ? text : "";
          },
        }),
    );
    const all =
      namespaces === undefined
        ? new Reflector<NamespaceState>({
            ...shared,
            path: collectionPath(NAMESPACES),
            accept: METADATA_ONLY,
            read: ({ key, json }) => {
              const metadata = json["metadata"];
              return { name: key, isEnding: isJsonObject(metadata) && "deletionTimestamp" in metadata };
            },
          })
        : undefined;
    this.#term = {
      maps,
      namespaces: all,
      stopping: new AbortController(),
      failed: new Map(),
      isRunning: false,
      isAsked: false,
    };
    for (const reflector of [...maps, ...(all === undefined ? [] : [all])]) reflector.start();
  }

  /** We are not the leader any more. */
  async stop(): Promise<void> {
    const term = this.#term;
    this.#term = undefined;
    if (term === undefined) return;
    term.stopping.abort();
    term.retry?.cancel();
    await Promise.all(
      [...term.maps, ...(term.namespaces === undefined ? [] : [term.namespaces])].map((one) => one.close()),
    );
    await term.running;
  }

  /** Something may have to be written: the roots are others, or what stands somewhere is. */
  look(): void {
    const term = this.#term;
    if (term === undefined) return;
    term.isAsked = true;
    if (term.isRunning) return;
    term.isRunning = true;
    term.running = this.#run(term).finally(() => {
      term.isRunning = false;
      if (term.isAsked && !term.stopping.signal.aborted) this.look(); // asked when it had just come to its end
    });
  }

  async #run(term: Term): Promise<void> {
    const { clock, rootPem } = this.#options;
    const { signal } = term.stopping;
    while (term.isAsked && !signal.aborted) {
      term.isAsked = false;
      const pem = rootPem();
      const isKnown = [...term.maps, ...(term.namespaces === undefined ? [] : [term.namespaces])].every(
        (one) => one.isSynchronised,
      );
      if (pem === undefined || !isKnown) return;
      const namespaces = this.#namespacesOf(term);
      for (const namespace of namespaces) {
        const key = `${namespace}/${CA_ROOT_CONFIG_MAP}`;
        const found = term.maps.map((one) => one.get(key)).find((text) => text !== undefined);
        if (found === pem) term.failed.delete(namespace);
        if (found === pem || signal.aborted || clock.now() < (term.failed.get(namespace)?.atMs ?? 0)) continue;
        if (await this.#write(namespace, pem, found === undefined, signal)) term.failed.delete(namespace);
        else this.#later(term, namespace);
        await pause(clock, EVERY_MS, signal);
      }
      this.#lookAgain(term, new Set(namespaces));
    }
  }

  #later({ failed }: Term, namespace: string): void {
    const { clock, random } = this.#options;
    const backoff = failed.get(namespace)?.backoff ?? new Backoff(BACKOFF, random);
    failed.set(namespace, { backoff, atMs: clock.now() + backoff.nextMs() });
  }

  /** When the first of those that failed is to be tried again. */
  #lookAgain(term: Term, namespaces: ReadonlySet<string>): void {
    const { clock } = this.#options;
    term.retry?.cancel();
    for (const namespace of term.failed.keys()) if (!namespaces.has(namespace)) term.failed.delete(namespace);
    if (term.failed.size === 0 || term.stopping.signal.aborted) return;
    const atMs = Math.min(...[...term.failed.values()].map((one) => one.atMs));
    term.retry = clock.after(Math.max(0, atMs - clock.now()), () => this.look());
  }

  #namespacesOf({ namespaces }: Term): readonly string[] {
    if (namespaces === undefined) return this.#options.namespaces ?? [];
    return [...namespaces.values()].filter(({ isEnding }) => !isEnding).map(({ name }) => name);
  }

  async #write(namespace: string, pem: string, isNew: boolean, signal: AbortSignal): Promise<boolean> {
    const { api, log } = this.#options;
    const path = collectionPath(CONFIG_MAPS, namespace);
    const data = { [FILE]: pem };
    try {
      if (isNew) {
        const metadata = { name: CA_ROOT_CONFIG_MAP, labels: { "app.kubernetes.io/managed-by": "heddle" } };
        await api.request({
          method: "POST",
          path,
          body: { apiVersion: "v1", kind: "ConfigMap", metadata, data },
          signal,
        });
      } else {
        const contentType = "application/merge-patch+json";
        await api.request({
          method: "PATCH",
          path: `${path}/${CA_ROOT_CONFIG_MAP}`,
          contentType,
          body: { data },
          signal,
        });
      }
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      const status = error instanceof KubeError ? error.status : 0;
      // Gone, ending, or somebody was first: the watches bring that.
      if (status === 404 || status === 409) return true;
      log.warn("the mesh's roots cannot be written", { namespace, why: reasonOf(error) });
      return false;
    }
  }
}

interface NamespaceState {
  readonly name: string;
  readonly isEnding: boolean;
}

/** From becoming the leader to being it no more. */
interface Term {
  readonly maps: readonly Reflector<string>[];
  readonly namespaces: Reflector<NamespaceState> | undefined;
  readonly stopping: AbortController;
  /** Namespaces that could not be written to: when each is tried again. None of them keeps another one waiting. */
  readonly failed: Map<string, { readonly backoff: Backoff; atMs: number }>;
  retry?: Timer;
  isRunning: boolean;
  isAsked: boolean;
  running?: Promise<void>;
}
