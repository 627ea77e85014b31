import { isJsonObject, type JsonObject } from "@heddle/base";
import type { KubeApi, KubeRequest, WatchRequest } from "./kube-client.ts";
import { KubeError } from "./kube-error.ts";

/* For tests: an API server that is but a map of objects, and fails when it is told to. It speaks no HTTP. */

/** What a request is answered instead. Undefined: as always. */
export type Fault = (request: { readonly path: string; readonly isWatch: boolean }) => KubeError | undefined;

export class ScriptedKubeApi implements KubeApi {
  readonly requests: KubeRequest[] = [];
  readonly watches = new Set<ScriptedWatch>();
  /** Objects of a page, whatever is asked for. */
  pageSize = 500;
  fault: Fault = () => undefined;
  /** What is asked besides collections: by method and path. */
  readonly answers = new Map<string, (request: KubeRequest) => unknown>();
  readonly #collections = new Map<string, Map<string, JsonObject>>();
  #version = 100;

  /** There is such a kind, without objects as yet. */
  define(...paths: readonly string[]): void {
    for (const path of paths) if (!this.#collections.has(path)) this.#collections.set(path, new Map());
  }

  undefine(path: string): void {
    this.#collections.delete(path);
    for (const watch of this.watches) if (watch.path === path) watch.fail(new KubeError(404, "NotFound", "not found"));
  }

  put(path: string, object: JsonObject): JsonObject {
    this.define(path);
    const { metadata } = object;
    const said = isJsonObject(metadata) ? metadata : {};
    const { namespace = "", name = "" } = said as { namespace?: string; name?: string };
    const objects = this.#collections.get(path)!; // defined above
    const key = `${namespace}/${name}`;
    const before = objects.get(key);
    this.#version += 1;
    const uid = said["uid"] ?? `uid-${path}-${key}`;
    const stored = { ...object, metadata: { ...said, uid, resourceVersion: String(this.#version) } };
    objects.set(key, stored);
    this.#tell(path, before === undefined ? "ADDED" : "MODIFIED", stored);
    return stored;
  }

  remove(path: string, key: string): void {
    const stored = this.#collections.get(path)?.get(key);
    if (stored === undefined) return;
    this.#collections.get(path)?.delete(key);
    this.#version += 1;
    const metadata = stored["metadata"] as JsonObject;
    this.#tell(path, "DELETED", { ...stored, metadata: { ...metadata, resourceVersion: String(this.#version) } });
  }

  /** Forgets an object without telling anybody: what a watch that was interrupted would have missed. */
  loseSilently(path: string, key: string): void {
    this.#collections.get(path)?.delete(key);
  }

  /** As an API server whose etcd is restored from a backup: its next write has the version after this one. Watches end. */
  setBack(version: number): void {
    this.#version = version;
    for (const watch of this.watches) watch.end();
  }

  get(path: string, key: string): JsonObject | undefined {
    return this.#collections.get(path)?.get(key);
  }

  async request(request: KubeRequest): Promise<unknown> {
    this.requests.push(request);
    const { method, path, query = {} } = request;
    const fault = this.fault({ path, isWatch: false });
    if (fault !== undefined) throw fault;
    const answer = this.answers.get(`${method} ${path}`);
    if (answer !== undefined) return answer(request);
    const objects = this.#collections.get(path);
    if (objects === undefined || method !== "GET") throw new KubeError(404, "NotFound", `${path} not found`);
    const all = [...objects.values()];
    const from = Number(query["continue"] ?? 0);
    const size = Math.min(this.pageSize, Number(query["limit"] ?? Number.POSITIVE_INFINITY));
    const isLast = from + size >= all.length;
    return {
      metadata: { resourceVersion: String(this.#version), ...(!isLast && { continue: String(from + size) }) },
      items: all.slice(from, from + size),
    };
  }

  async watch(request: WatchRequest): Promise<void> {
    const fault = this.fault({ path: request.path, isWatch: true });
    if (fault !== undefined) throw fault;
    if (!this.#collections.has(request.path)) throw new KubeError(404, "NotFound", "not found");
    const watch = new ScriptedWatch(request);
    this.watches.add(watch);
    request.onOpen();
    await watch.ended.finally(() => this.watches.delete(watch));
  }

  #tell(path: string, type: string, object: JsonObject): void {
    for (const watch of this.watches) if (watch.path === path) watch.send({ type, object });
  }
}

export class ScriptedWatch {
  readonly request: WatchRequest;
  readonly ended: Promise<void>;
  readonly #end = Promise.withResolvers<void>();

  constructor(request: WatchRequest) {
    this.request = request;
    this.ended = this.#end.promise;
    request.signal.addEventListener("abort", () => this.fail(new KubeError(0, "", "aborted")), { once: true });
  }

  get path(): string {
    return this.request.path;
  }

  send(event: unknown): void {
    this.sendText(JSON.stringify(event));
  }

  sendText(text: string): void {
    try {
      this.request.onLine(text);
    } catch (error) {
      this.#end.reject(error);
    }
  }

  /** As the API server ends it after its time. */
  end(): void {
    this.#end.resolve();
  }

  fail(error: KubeError): void {
    this.#end.reject(error);
  }
}

/** Lets everything happen that waits for no clock. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
