import { randomBytes, randomUUID } from "node:crypto";
import type { Admit } from "./admission.ts";
import type { KubeUser } from "./authentication.ts";
import { withDefaults } from "./defaults.ts";
import { apiVersionOf, type Kind, type Kinds, resourceKey } from "./kinds.ts";
import { isObject, isSame, type Json, type JsonObject, type KubeObject, member, plain } from "./kube-object.ts";
import { recordUpdate } from "./managed-fields.ts";
import type { ObjectStore } from "./object-store.ts";
import { alreadyExists, badRequest, conflict, invalid, notFound, StatusError } from "./status-error.ts";
import { checkPlace, validate } from "./validation.ts";

/** Of one write: who asks, and how it is to be done. */
export interface WriteOptions {
  readonly user: KubeUser;
  readonly dryRun: boolean;
  readonly fieldManager: string;
  /** Told what webhooks say besides. */
  readonly warn: (text: string) => void;
}

/** Where an object stands. */
export interface Place {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string;
  /** "" is the object itself. */
  readonly subresource: string;
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: string;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

/** How often a change that names no version is made again on what somebody else has written meanwhile. */
const ATTEMPTS = 5;

/** The objects as the API changes them: identity, versions, defaults, admission, deletion, and what follows from a deletion. */
export class Resources {
  readonly #store: ObjectStore;
  readonly #kinds: Kinds;
  readonly #admit: Admit;

  constructor(store: ObjectStore, kinds: Kinds, admit: Admit) {
    this.#store = store;
    this.#kinds = kinds;
    this.#admit = admit;
  }

  get({ kind, namespace, name }: Place): KubeObject {
    const found = this.#store.get(resourceKey(kind), namespace, name);
    if (found === undefined) throw notFound(kind.plural, kind.group, name);
    return inVersion(kind, found);
  }

  async create(
    kind: Kind,
    namespace: string | undefined,
    body: KubeObject,
    options: WriteOptions,
  ): Promise<KubeObject> {
    checkPlace(kind, namespace, undefined, body);
    const name =
      body.metadata.name ??
      (body.metadata.generateName === undefined ? "" : `${body.metadata.generateName}${suffix()}`);
    if (name === "")
      throw invalid(kind.kind, kind.group, "", [
        { field: "metadata.name", message: "Required value: name or generateName is required" },
      ]);
    if (body.metadata.resourceVersion !== undefined && body.metadata.resourceVersion !== "")
      throw badRequest("resourceVersion should not be set on objects to be created");
    const resource = resourceKey(kind);
    this.#requireNamespace(kind, namespace, name);
    if (this.#store.get(resource, namespace, name) !== undefined) throw alreadyExists(kind.plural, kind.group, name);
    const now = timestamp();
    const { status: _, ...rest } = body;
    let object: KubeObject = {
      ...(kind.hasStatus ? rest : body),
      metadata: {
        ...body.metadata,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        uid: randomUUID(),
        creationTimestamp: now,
        ...(hasGeneration(kind) ? { generation: 1 } : {}),
      },
    };
    object = withDefaults(kind, object, this.#store);
    object = await this.#admit({
      operation: "CREATE",
      kind,
      place: { kind, namespace, name, subresource: "" },
      object,
      old: undefined,
      options,
    });
    object = withDefaults(kind, object, this.#store);
    validate(kind, object);
    if (this.#store.get(resource, namespace, name) !== undefined) throw alreadyExists(kind.plural, kind.group, name);
    if (options.dryRun) return object;
    return this.#written(kind, recordUpdate(undefined, object, options.fieldManager, "", now));
  }

  update(place: Place, body: KubeObject, options: WriteOptions): Promise<KubeObject> {
    checkPlace(place.kind, place.namespace, place.name, body);
    return this.change(place, () => body, options);
  }

  /**
   * Puts what `make` gives in the place of what is there. One that names a resourceVersion fails with 409 where somebody was
   * faster; another is made again on what is there then.
   *
   * @param make gets what is there, in the version of the place.
   */
  async change(place: Place, make: (current: KubeObject) => KubeObject, options: WriteOptions): Promise<KubeObject> {
    const { kind, namespace, name } = place;
    const resource = resourceKey(kind);
    for (let attempt = 1; ; attempt++) {
      const stored = this.#store.get(resource, namespace, name);
      if (stored === undefined) throw notFound(kind.plural, kind.group, name);
      const current = inVersion(kind, stored);
      const body = make(current);
      this.#checkVersion(place, current, body);
      let next = withDefaults(kind, merged(place, current, body), this.#store);
      next = await this.#admit({ operation: "UPDATE", kind, place, object: next, old: current, options });
      next = withDefaults(kind, merged(place, current, next), this.#store);
      validate(kind, next);
      if (this.#store.get(resource, namespace, name) !== stored) {
        if (hasVersion(body) || attempt === ATTEMPTS) throw conflict(kind.plural, kind.group, name, MODIFIED);
        continue;
      }
      next = recordUpdate(current, next, options.fieldManager, place.subresource, timestamp());
      if (options.dryRun) return next;
      if (isSame(withoutTimes(current), withoutTimes(next))) return current; // nothing is written, as in Kubernetes
      if (
        next.metadata.deletionTimestamp !== undefined &&
        (next.metadata.finalizers ?? []).length === 0 &&
        !this.#isDraining(kind, next)
      ) {
        this.#store.put(resource, next);
        return this.#remove(kind, next);
      }
      return this.#written(kind, next);
    }
  }

  async delete(place: Place, wanted: DeleteOptions, options: WriteOptions): Promise<KubeObject> {
    const { kind, namespace, name } = place;
    const object = this.get(place);
    const { uid, resourceVersion } = wanted.preconditions ?? {};
    if (uid !== undefined && uid !== object.metadata.uid)
      throw conflict(
        kind.plural,
        kind.group,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${object.metadata.uid}`,
      );
    if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion)
      throw conflict(
        kind.plural,
        kind.group,
        name,
        `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${object.metadata.resourceVersion}`,
      );
    await this.#admit({ operation: "DELETE", kind, place, object: undefined, old: object, options });
    if (options.dryRun) return object;
    const graceS = isPod(kind)
      ? (wanted.gracePeriodSeconds ?? Number(member(object["spec"], "terminationGracePeriodSeconds") ?? 30))
      : 0;
    const waitsForKubelet = graceS > 0 && this.#isDraining(kind, object);
    if (!waitsForKubelet && (object.metadata.finalizers ?? []).length === 0) return this.#remove(kind, object);
    if (object.metadata.deletionTimestamp !== undefined && graceS >= (object.metadata.deletionGracePeriodSeconds ?? 0))
      return object;
    const marked = {
      ...object,
      metadata: {
        ...object.metadata,
        deletionTimestamp: timestamp(graceS),
        deletionGracePeriodSeconds: graceS,
        ...(hasGeneration(kind) ? { generation: (object.metadata.generation ?? 1) + 1 } : {}),
      },
    };
    return inVersion(
      kind,
      this.#store.put(resourceKey(kind), stored(kind, marked, this.#store.get(resourceKey(kind), namespace, name))),
    );
  }

  #written(kind: Kind, object: KubeObject): KubeObject {
    const resource = resourceKey(kind);
    const { namespace, name } = object.metadata;
    const kept = this.#store.put(resource, stored(kind, plain(object), this.#store.get(resource, namespace, name)));
    if (kind.kind === "CustomResourceDefinition") this.#kinds.define(kept);
    if (resource === "/namespaces" && this.#store.get("/serviceaccounts", name, "default") === undefined)
      this.#store.put("/serviceaccounts", defaultAccount(name));
    return inVersion(kind, kept);
  }

  /** Takes it away, and what it owned or held. */
  #remove(kind: Kind, object: KubeObject): KubeObject {
    const { name, uid } = object.metadata;
    const gone = this.#store.delete(resourceKey(kind), object) ?? object;
    if (kind.kind === "CustomResourceDefinition") {
      for (const one of this.#kinds.all())
        if (
          one.custom &&
          one.group === member(object["spec"], "group") &&
          one.plural === member(object["spec"], "names", "plural")
        )
          for (const instance of this.#store.list(resourceKey(one))) this.#store.delete(resourceKey(one), instance);
      this.#kinds.undefine(object);
    }
    for (const one of this.#kinds.all())
      for (const other of this.#store.list(resourceKey(one))) {
        const isOwned = other.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
        if (isOwned || (resourceKey(kind) === "/namespaces" && other.metadata.namespace === name))
          this.#remove(one, other);
      }
    return inVersion(kind, gone);
  }

  /** A pod that runs on a node stays until the kubelet, which here is a test, deletes it without grace. */
  #isDraining(kind: Kind, object: KubeObject): boolean {
    const phase = member(object["status"], "phase");
    return (
      isPod(kind) && member(object["spec"], "nodeName") !== undefined && phase !== "Succeeded" && phase !== "Failed"
    );
  }

  #checkVersion({ kind, name }: Place, current: KubeObject, body: KubeObject): void {
    const { uid } = body.metadata;
    if (uid !== undefined && uid !== "" && uid !== current.metadata.uid)
      throw conflict(
        kind.plural,
        kind.group,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
      );
    if (!hasVersion(body)) {
      if (kind.custom)
        throw invalid(kind.kind, kind.group, name, [
          { field: "metadata.resourceVersion", message: "Invalid value: 0: must be specified for an update" },
        ]);
    } else if (body.metadata.resourceVersion !== current.metadata.resourceVersion)
      throw conflict(kind.plural, kind.group, name, MODIFIED);
  }

  #requireNamespace(kind: Kind, namespace: string | undefined, name: string): void {
    if (namespace === undefined) return;
    const found = this.#store.get("/namespaces", undefined, namespace);
    if (found === undefined) throw notFound("namespaces", "", namespace);
    if (found.metadata.deletionTimestamp !== undefined)
      throw new StatusError(
        403,
        "Forbidden",
        `${kind.plural} ${JSON.stringify(name)} is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
      );
  }
}

const MODIFIED = "the object has been modified; please apply your changes to the latest version and try again";

/** As that version of its kind is served. */
export function inVersion(kind: Kind, object: KubeObject): KubeObject {
  const apiVersion = apiVersionOf(kind);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** As it is kept: in the version in which it was first written. */
function stored(kind: Kind, object: KubeObject, before: KubeObject | undefined): KubeObject {
  return { ...object, apiVersion: before?.apiVersion ?? apiVersionOf(kind), kind: kind.kind };
}

/** What a write may change: with a subresource for the status, the status alone; else all but that. And never who the object is. */
function merged({ kind, subresource }: Place, current: KubeObject, body: KubeObject): KubeObject {
  const { metadata: was } = current;
  const changed: Record<string, Json | undefined> =
    subresource === "status"
      ? { ...current, status: body["status"] }
      : { ...body, ...(kind.hasStatus ? { status: current["status"] } : {}) };
  if (changed["status"] === undefined) delete changed["status"];
  const isChanged = Object.keys({ ...current, ...changed }).some(
    (field) => field !== "metadata" && field !== "status" && !isSame(current[field], changed[field]),
  );
  const metadata = subresource === "status" ? was : body.metadata;
  const kept: Record<string, Json | undefined> = {};
  for (const field of KEPT) if (was[field] !== undefined) kept[field] = was[field];
  const { generation: _g, deletionTimestamp: _d, deletionGracePeriodSeconds: _s, ...free } = metadata;
  return {
    ...changed,
    apiVersion: current.apiVersion,
    kind: current.kind,
    metadata: {
      ...free,
      ...kept,
      name: was.name,
      ...(was.generation === undefined ? {} : { generation: was.generation + (isChanged ? 1 : 0) }),
      ...(metadata.managedFields === undefined && was.managedFields !== undefined
        ? { managedFields: was.managedFields }
        : {}),
    },
  };
}

/** Of the metadata: what no write changes. */
const KEPT = [
  "namespace",
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "resourceVersion",
] as const;

function withoutTimes(object: KubeObject): JsonObject {
  const { resourceVersion: _, managedFields = [], ...metadata } = object.metadata;
  return { ...object, metadata: { ...metadata, managedFields: managedFields.map(({ time: _t, ...entry }) => entry) } };
}

function hasVersion({ metadata: { resourceVersion } }: KubeObject): boolean {
  return resourceVersion !== undefined && resourceVersion !== "";
}

function isPod({ group, kind }: Kind): boolean {
  return group === "" && kind === "Pod";
}

/** Kubernetes counts the generation of what has a spec that controllers follow. */
function hasGeneration({ group, custom }: Kind): boolean {
  return custom || !["", "rbac.authorization.k8s.io", "coordination.k8s.io"].includes(group);
}

/** Five characters, as generateName adds them. */
function suffix(): string {
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  return [...randomBytes(5)].map((byte) => letters[byte % letters.length]).join("");
}

/** In whole seconds, as Kubernetes writes times. */
export function timestamp(inS = 0): string {
  return new Date(Date.now() + inS * 1000).toISOString().replace(/\.\d+Z$/, "Z");
}

function defaultAccount(namespace: string): KubeObject {
  const metadata = { name: "default", namespace, uid: randomUUID(), creationTimestamp: timestamp() };
  return { apiVersion: "v1", kind: "ServiceAccount", metadata };
}

/** The body of a request as an object. Throws 400 where it is something else. */
export function objectOf(body: Json | undefined): KubeObject {
  if (!isObject(body) || typeof body["kind"] !== "string" || typeof body["apiVersion"] !== "string")
    throw badRequest("Object 'Kind' is missing: the body has to be an object with apiVersion and kind");
  if (body["metadata"] !== undefined && body["metadata"] !== null && !isObject(body["metadata"]))
    throw badRequest("metadata has to be an object");
  return { ...body, metadata: { ...body["metadata"] } } as KubeObject;
}
