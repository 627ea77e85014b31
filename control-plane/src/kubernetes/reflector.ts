import { Backoff, type Clock, isJsonObject, type JsonObject } from "@heddle/base";
import type { KubeApi } from "./kube-client.ts";
import { KubeError, kubeErrorOf, reasonOf } from "./kube-error.ts";
import { pause } from "./pause.ts";

/** One object of the API server, as JSON, and what every one has. */
export interface KubeObject {
  readonly json: JsonObject;
  /** "shop/web"; of what is in no namespace its name alone. */
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

export interface Selectors {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ReflectorOptions<Value> {
  readonly api: KubeApi;
  readonly clock: Clock;
  /** Of the collection: "/api/v1/services". */
  readonly path: string;
  readonly query?: Selectors;
  readonly accept?: string;
  /** What is kept of an object, which should be little: there are thousands. `before`: what is kept of it until now. */
  readonly read: (object: KubeObject, before: Value | undefined) => Value;
  /**
   * The collection is not found: where it is. Undefined: there is no such kind. Rejects where nobody can say. Left out: it is
   * always there.
   */
  readonly findPath?: (signal: AbortSignal) => Promise<string | undefined>;
  /** Nobody may read it: then it counts as empty, and the trouble is told. */
  readonly isDispensable?: boolean;
  /** Something of what it holds, of its being synchronised or of its trouble is another now. */
  readonly onChange: (keys: Iterable<string>) => void;
  readonly random?: () => number;
}

/** Objects of a page; a Kubernetes client's usual number. */
const PAGE = 500;
/** Where even pages take longer than the API server keeps their version, all comes at once. */
const MAX_EXPIRED_LISTS = 2;
const NO_ANSWER = new KubeError(0, "", "");
const BACKOFF = { baseMs: 1000, maxMs: 30_000 };
/** The API server ends a watch after so long; by jitter not all at once. */
const WATCH_S = 300;
/** Over and above, before a watch counts as dead. */
const SILENCE_GRACE_MS = 15_000;
/** A watch of less was no success. */
const SHORT_MS = 2000;
/** How often a kind that is not there is looked for. */
const ABSENT_LOOK_MS = 10_000;
/** So long what is kept of a kind stays, after the API server has first said that there is no such kind. */
const ABSENT_GRACE_MS = 60_000;

/**
 * Keeps up with one collection of an API server: lists it in pages, then watches it from there. Whatever happens to the API
 * server, what is kept stays until a later list or event says otherwise:
 * - a version that is too old (410) leads to a new list, of which the differences alone are taken;
 * - an answer of 429 or 5xx, or none at all, to waiting, longer each time, and by jitter not with all others; then it
 *   goes on where it was;
 * - a watch that is silent for longer than it may last is renewed, beginning with a list;
 * - before a watch is renewed that has ended before its time it is asked whether there is anything so new. An API server whose etcd
 *   was restored from a backup has gone back: of a version of its future it says nothing at all, so everything is read anew.
 */
export class Reflector<Value> {
  readonly #options: ReflectorOptions<Value>;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  readonly #closing = new AbortController();
  readonly #kept = new Map<string, Kept<Value>>();
  #path: string;
  /** Where to go on watching; undefined: a list comes first. */
  #version: string | undefined;
  #isSynchronised = false;
  #trouble: string | undefined;
  #absentSinceMs: number | undefined;
  /** The API server, or what it stands on, may be another now. */
  #isDoubtful = false;
  /** It has gone back: a version that was seen may be that of something else. */
  #isSetBack = false;
  /** In a row: the token for the next page was too old. */
  #expiredLists = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ReflectorOptions<Value>) {
    this.#options = options;
    this.#path = options.path;
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(BACKOFF, this.#random);
  }

  /** Of the collection: that of another version, where the first one's is not served. */
  get path(): string {
    return this.#path;
  }

  /** It is known what there is, or that there is no such kind. */
  get isSynchronised(): boolean {
    return this.#isSynchronised;
  }

  /** Why what is kept may be old; undefined: nothing is known against it. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get size(): number {
    return this.#kept.size;
  }

  get(key: string): Value | undefined {
    return this.#kept.get(key)?.value;
  }

  *values(): Generator<Value> {
    for (const { value } of this.#kept.values()) yield value;
  }

  start(): void {
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const waitMs = await this.#step();
      if (waitMs > 0 && !signal.aborted) await pause(this.#options.clock, waitMs, signal);
    }
  }

  /** One list or one watch. Returns how long to wait before the next one. */
  async #step(): Promise<number> {
    const { clock } = this.#options;
    const startedMs = clock.now();
    const version = this.#version;
    try {
      if (version !== undefined && this.#isDoubtful) {
        await this.#look(version);
        return 0;
      }
      if (version === undefined) await this.#list();
      else {
        this.#isDoubtful = true; // unless it lasts for as long as it may
        await this.#watch(version);
        this.#isDoubtful = clock.now() - startedMs < WATCH_S * 1000;
      }
      if (version === undefined || clock.now() - startedMs >= SHORT_MS) {
        if (version !== undefined) this.#backoff.reset();
        return 0;
      }
      return this.#backoff.nextMs(); // something ends all watches as soon as they begin
    } catch (error) {
      if (this.#closing.signal.aborted) return 0;
      return this.#afterFailure(error, version !== undefined, clock.now() - startedMs);
    }
  }

  async #afterFailure(error: unknown, wasWatch: boolean, lastedMs: number): Promise<number> {
    const { status, isExpired, retryAfterMs, reason } = error instanceof KubeError ? error : NO_ANSWER;
    if (status === 404 && this.#options.findPath !== undefined) return this.#afterNotFound(this.#options.findPath);
    // A watch goes on where it was if the API server was only busy or away, and else begins anew with a list.
    const isTransient = status === 429 || status >= 500 || (status === 0 && reason === "");
    if (!isTransient) this.#version = undefined;
    if (error instanceof KubeError && error.isOfFuture) this.#setBack();
    if (isExpired && !wasWatch) this.#expiredLists += 1;
    if (wasWatch && lastedMs >= SHORT_MS) this.#backoff.reset();
    if (isExpired) return wasWatch && lastedMs >= SHORT_MS ? 0 : this.#backoff.nextMs();
    if (status === 403 && this.#options.isDispensable === true) this.#isSynchronised = true;
    this.#setTrouble(`${this.#path}: ${reasonOf(error)}`);
    return Math.max(retryAfterMs ?? 0, this.#backoff.nextMs());
  }

  /**
   * The API server answers so too while it starts and has not read its CustomResourceDefinitions: then policies must not
   * vanish. So whoever knows is asked, and what is kept outlives the answer by a minute.
   */
  async #afterNotFound(findPath: NonNullable<ReflectorOptions<Value>["findPath"]>): Promise<number> {
    const { clock } = this.#options;
    const path = this.#path;
    this.#version = undefined;
    let found: string | undefined;
    try {
      found = await findPath(this.#closing.signal);
    } catch (error) {
      this.#absentSinceMs = undefined;
      this.#setTrouble(`${path}: ${reasonOf(error)}`);
      return this.#backoff.nextMs();
    }
    if (found !== undefined) {
      this.#absentSinceMs = undefined;
      if (found !== path) {
        this.#path = found;
        return 0;
      }
      this.#setTrouble(`${path}: the API server does not serve it yet`);
      return this.#backoff.nextMs();
    }
    this.#absentSinceMs ??= clock.now();
    const isSure = this.#kept.size === 0 || clock.now() - this.#absentSinceMs >= ABSENT_GRACE_MS;
    if (!isSure) this.#setTrouble(`${path}: there is no such kind any more; what is known of it still serves`);
    else {
      const removed = [...this.#kept.keys()];
      this.#kept.clear();
      this.#isGood(removed);
    }
    return ABSENT_LOOK_MS * (0.75 + this.#random() / 2);
  }

  async #list(): Promise<void> {
    const listed = new Map<string, Kept<Value>>();
    const changed: string[] = [];
    let version = "";
    let token: string | undefined;
    do {
      const page = await this.#page(token);
      const { metadata } = page;
      const items = page["items"] === null ? [] : page["items"]; // as API servers write an empty list of metadata
      if (!isJsonObject(metadata) || !Array.isArray(items)) throw new KubeError(0, "", "the answer is no list");
      for (const item of items as readonly unknown[]) this.#take(item, listed, changed);
      version = typeof metadata["resourceVersion"] === "string" ? metadata["resourceVersion"] : "";
      token = typeof metadata["continue"] === "string" ? metadata["continue"] : undefined;
    } while (token !== undefined && token !== "");
    const removed = [...this.#kept.keys()].filter((key) => !listed.has(key));
    for (const key of removed) this.#kept.delete(key);
    for (const [key, kept] of listed) this.#kept.set(key, kept);
    this.#version = version;
    this.#isDoubtful = false;
    this.#isSetBack = false;
    this.#expiredLists = 0;
    this.#isGood([...changed, ...removed]);
  }

  async #page(token: string | undefined) {
    const { api, query, accept } = this.#options;
    const path = this.#path;
    const { signal } = this.#closing;
    const answer = await api.request({
      method: "GET",
      path,
      query: { ...query, limit: this.#expiredLists >= MAX_EXPIRED_LISTS ? undefined : PAGE, continue: token },
      ...(accept && { accept }),
      signal,
    });
    return isJsonObject(answer) ? answer : {};
  }

  /** Whether what the API server has is as new as what was seen of it. */
  async #look(version: string): Promise<void> {
    const { api, query, accept } = this.#options;
    const answer = await api.request({
      method: "GET",
      path: this.#path,
      query: { ...query, limit: 1 },
      ...(accept && { accept }),
      signal: this.#closing.signal,
    });
    this.#isDoubtful = false;
    const metadata = isJsonObject(answer) ? answer["metadata"] : undefined;
    const now = isJsonObject(metadata) ? metadata["resourceVersion"] : undefined;
    if (typeof now === "string" && isOlder(now, version)) this.#setBack();
  }

  #setBack(): void {
    this.#version = undefined;
    this.#isSetBack = true;
  }

  async #watch(version: string): Promise<void> {
    const { api, query, accept } = this.#options;
    const path = this.#path;
    const timeoutSeconds = Math.round(WATCH_S * (1 + this.#random()));
    await api.watch({
      path,
      query: { ...query, watch: true, allowWatchBookmarks: true, resourceVersion: version, timeoutSeconds },
      ...(accept && { accept }),
      silentMs: timeoutSeconds * 1000 + SILENCE_GRACE_MS,
      signal: this.#closing.signal,
      onOpen: () => this.#isGood([]),
      onLine: (line) => this.#takeEvent(line),
    });
  }

  #takeEvent(line: string): void {
    if (this.#closing.signal.aborted) return;
    const { type, object } = parseEvent(line);
    if (type === "ERROR") throw kubeErrorOf(500, object);
    const kube = kubeObjectOf(object);
    if (kube === undefined) return; // what has neither name nor version is nothing that can be kept
    if (this.#version !== undefined && isOlder(kube.resourceVersion, this.#version)) {
      this.#setBack();
      throw new KubeError(410, "Expired", "the API server has gone back to an older version");
    }
    this.#version = kube.resourceVersion;
    switch (type) {
      case "ADDED":
      case "MODIFIED": {
        const changed: string[] = [];
        this.#take(object, this.#kept, changed);
        this.#isGood(changed);
        return;
      }
      case "DELETED":
        this.#isGood(this.#kept.delete(kube.key) ? [kube.key] : []);
        return;
      default: // BOOKMARK; another one is of a later Kubernetes
        this.#isGood([]);
    }
  }

  /** @param into where it is put. `changed`: where its key is put, if it is not as it was. */
  #take(item: unknown, into: Map<string, Kept<Value>>, changed: string[]): void {
    const object = kubeObjectOf(item);
    if (object === undefined) return;
    const { key, uid, resourceVersion } = object;
    const before = this.#kept.get(key);
    const isSame = before?.uid === uid && before.resourceVersion === resourceVersion;
    if (before !== undefined && isSame && !this.#isSetBack) {
      into.set(key, before);
      return;
    }
    const known = before?.uid === uid ? before.value : undefined; // another one of the same name is another one
    const value = this.#options.read(object, known);
    into.set(key, { uid, resourceVersion, value });
    if (value !== before?.value) changed.push(key);
  }

  #isGood(changed: readonly string[]): void {
    const isNews = !this.#isSynchronised || this.#trouble !== undefined;
    this.#isSynchronised = true;
    this.#trouble = undefined;
    if (this.#version !== undefined) this.#absentSinceMs = undefined;
    if (isNews || changed.length > 0) this.#options.onChange(changed);
  }

  #setTrouble(trouble: string): void {
    if (this.#trouble === trouble) return;
    this.#trouble = trouble;
    this.#options.onChange([]);
  }
}

function parseEvent(line: string): JsonObject {
  try {
    const event = JSON.parse(line) as unknown;
    if (isJsonObject(event)) return event;
  } catch {
    // told below
  }
  throw new KubeError(0, "Garbled", "the watch brought what is no event");
}

interface Kept<Value> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly value: Value;
}

/** Versions are numbers that grow, in every API server since there are any (KEP-5504 says so); of what is none nothing is said. */
function isOlder(one: string, other: string): boolean {
  if (!NUMBER.test(one) || !NUMBER.test(other)) return false;
  return one.length === other.length ? one < other : one.length < other.length;
}

const NUMBER = /^[1-9]\d*$/;

/** Undefined: it is no object of an API server. */
export function kubeObjectOf(json: unknown): KubeObject | undefined {
  const metadata = isJsonObject(json) ? json["metadata"] : undefined;
  if (!isJsonObject(json) || !isJsonObject(metadata)) return undefined;
  const { namespace, name = "", uid, resourceVersion } = metadata;
  if (typeof resourceVersion !== "string" || typeof name !== "string") return undefined;
  return {
    json,
    key: typeof namespace === "string" && namespace !== "" ? `${namespace}/${name}` : name,
    uid: typeof uid === "string" ? uid : "",
    resourceVersion,
  };
}
