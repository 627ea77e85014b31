import type { KubeObject } from "./kube-object.ts";
import { expired } from "./status-error.ts";

/** One write, as watches see it. */
export interface Change {
  readonly revision: number;
  /** `group/plural`. */
  readonly resource: string;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** What is there from now on; of a deletion what was there last, with the version of the deletion. */
  readonly object: KubeObject;
  readonly previous: KubeObject | undefined;
}

/**
 * The objects of a cluster and what happened to them: one counter of versions for all, and a history that watches and lists
 * of the past read until it is compacted. What etcd is for an API server.
 */
export class ObjectStore {
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #watchers = new Set<(change: Change) => void>();
  #history: Change[] = [];
  #revision = 1;
  #compacted = 0;

  /** Of the newest write. */
  get revision(): number {
    return this.#revision;
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(resource)?.get(key(namespace, name));
  }

  /** Of one namespace or of all, in the order of namespace and name. */
  list(resource: string, namespace?: string, atRevision: number = this.#revision): readonly KubeObject[] {
    const objects = new Map(this.#objects.get(resource));
    for (const change of this.#after(atRevision).toReversed()) {
      if (change.resource !== resource) continue;
      const at = key(change.object.metadata.namespace, change.object.metadata.name);
      if (change.previous === undefined) objects.delete(at);
      else objects.set(at, change.previous);
    }
    return [...objects]
      .filter(([, { metadata }]) => namespace === undefined || metadata.namespace === namespace)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** Keeps it under a new version, which the result has. */
  put(resource: string, object: KubeObject): KubeObject {
    const { namespace, name } = object.metadata;
    const kept = versioned(object, ++this.#revision);
    const previous = this.get(resource, namespace, name);
    let objects = this.#objects.get(resource);
    if (objects === undefined) this.#objects.set(resource, (objects = new Map()));
    objects.set(key(namespace, name), kept);
    this.#record({ revision: this.#revision, resource, type: previous ? "MODIFIED" : "ADDED", object: kept, previous });
    return kept;
  }

  delete(resource: string, { metadata: { namespace, name } }: KubeObject): KubeObject | undefined {
    const previous = this.get(resource, namespace, name);
    if (previous === undefined) return undefined;
    const object = versioned(previous, ++this.#revision);
    this.#objects.get(resource)?.delete(key(namespace, name));
    this.#record({ revision: this.#revision, resource, type: "DELETED", object, previous });
    return object;
  }

  /**
   * Tells all changes after that version, which may be one of the future: those of the past before it returns. Throws 410 where they
   * are forgotten.
   */
  watch(fromRevision: number, onChange: (change: Change) => void): () => void {
    for (const change of this.#after(fromRevision)) onChange(change);
    const tell = (change: Change): void => {
      if (change.revision > fromRevision) onChange(change);
    };
    this.#watchers.add(tell);
    return () => void this.#watchers.delete(tell);
  }

  /** Forgets all history: who has not seen the newest version has to list again. */
  compact(): void {
    this.#compacted = this.#revision;
    this.#history = [];
  }

  #after(revision: number): readonly Change[] {
    if (revision < this.#compacted) throw expired(`too old resource version: ${revision} (${this.#compacted})`);
    const first = this.#history.findIndex((change) => change.revision > revision);
    return first < 0 ? [] : this.#history.slice(first);
  }

  #record(change: Change): void {
    this.#history.push(change);
    for (const watcher of this.#watchers) watcher(change);
  }
}

function key(namespace: string | undefined, name: string): string {
  return `${namespace ?? ""}/${name}`;
}

function versioned(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}
