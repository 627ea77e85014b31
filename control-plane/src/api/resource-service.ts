import { err, type Inspectable, type Json, ok, type Result } from "@heddle/base";
import type { ResourceTypes } from "@heddle/xds";
import type { StoredEntry } from "../store/store.ts";
import { type Caller, mayRead, maySeeSecrets, mayWrite } from "./access.ts";
import { denied, fault, invalid, isError, unread } from "./api-errors.ts";
import { authorName, SHOWN_KEYS } from "./audit.ts";
import { History } from "./history.ts";
import { readExpectations, type Write } from "./judge-batch.ts";
import { readManifests } from "./manifest.ts";
import {
  completeKey,
  findStoredType,
  formatKey,
  knownTypes,
  parseStoreKey,
  type ResourceKey,
  storeKeyOf,
} from "./resource-key.ts";
import { MAX_PAGE_BYTES, MAX_PAGE_RESOURCES, MAX_WATCHES } from "./resource-limits.ts";
import { ResourceWatch } from "./resource-watch.ts";
import { ResourceWriter, type ResourceWriterOptions } from "./resource-writer.ts";
import { showResource } from "./show-resource.ts";
import { decodeStoredValue, type StoredValue } from "./stored-value.ts";
import { verdictOf } from "./verdict.ts";
import type {
  ApiError,
  ApplyRequest,
  BatchResponse,
  DeleteRequest,
  ListRequest,
  ListResponse,
  Selector,
  StoredResource,
} from "./wire.ts";
import { YamlThread } from "./yaml-thread.ts";

export interface ResourceServiceOptions extends ResourceWriterOptions {
  /** What a sidecar of ours says of resources. */
  readonly types: ResourceTypes;
}

/**
 * What the resource API does, whoever asks by whichever face: reads are answered from what the store holds; a write is
 * checked against the world that it would make, and stored whole or not at all (resource-writer.ts).
 */
export class ResourceService implements Inspectable {
  readonly name = "resources";
  readonly #options: ResourceServiceOptions;
  readonly #history: History;
  readonly #writer: ResourceWriter;
  readonly #yaml: YamlThread;
  #watches = 0;

  constructor(options: ResourceServiceOptions) {
    this.#options = options;
    this.#history = new History(options.store);
    this.#writer = new ResourceWriter(options);
    this.#yaml = new YamlThread(options.clock);
  }

  close(): void {
    this.#history.close();
    this.#yaml.close();
  }

  /** @param only the one resource that the batch must be, where its address says so. */
  async apply(caller: Caller, request: ApplyRequest, only?: ResourceKey): Promise<Result<BatchResponse, ApiError>> {
    const { manifests, nodeCluster = "", dryRun = false, includeContent = false, manager = "" } = request;
    const barred = this.#writer.barred(caller, "apply") ?? strangeManager(manager);
    if (barred !== undefined) return err(barred);
    const read = await readManifests(manifests, nodeCluster, this.#yaml);
    if (!read.ok) return this.#writer.refused(caller, "apply", [], read.error);
    const { drafts, diagnostics } = read.value;
    if (diagnostics.some(isError)) return this.#writer.refused(caller, "apply", [], invalid(diagnostics));
    if (drafts.length === 0) return err(fault("INVALID_ARGUMENT", "nothing that was sent is a resource", diagnostics));
    const stranger = only && drafts.find(({ key }) => drafts.length > 1 || storeKeyOf(key) !== storeKeyOf(only));
    if (only !== undefined && stranger !== undefined)
      return err(fault("INVALID_ARGUMENT", `found ${formatKey(stranger.key)}, allowed here: ${formatKey(only)} alone`));
    const writes: Write[] = drafts.map((draft) => ({ key: draft.key, draft }));
    const expectations = readExpectations(writes, request.expected ?? [], request.expectedVersion);
    if (!expectations.ok) return expectations;
    const warnings = [...diagnostics, ...drafts.flatMap((draft) => verdictOf(draft, this.#options.types))];
    return this.#writer.write(caller, {
      verb: "apply",
      writes,
      expectations: expectations.value,
      dryRun,
      includeContent,
      manager,
      warnings,
    });
  }

  async delete(caller: Caller, request: DeleteRequest): Promise<Result<BatchResponse, ApiError>> {
    const { dryRun = false, ignoreMissing = false } = request;
    const barred = this.#writer.barred(caller, "delete");
    if (barred !== undefined) return err(barred);
    const writes = new Map<string, Write>();
    for (const asked of request.keys) {
      const key = completeKey(asked);
      if (!key.ok) return err(fault("INVALID_ARGUMENT", key.error));
      writes.set(storeKeyOf(key.value), { key: key.value, draft: undefined });
    }
    if (writes.size === 0) return err(fault("INVALID_ARGUMENT", "no resource is named"));
    const entries = this.#options.store.entries;
    const missing = [...writes].filter(([storeKey]) => entries?.has(storeKey) === false);
    if (missing.length > 0 && !ignoreMissing && [...writes.values()].every(({ key }) => mayWrite(caller, key)))
      return err(fault("NOT_FOUND", `there is no ${missing.map(([, { key }]) => formatKey(key)).join(", ")}`));
    const list = [...writes.values()];
    const expectations = readExpectations(list, request.expected ?? [], request.expectedVersion);
    if (!expectations.ok) return expectations;
    return this.#writer.write(caller, {
      verb: "delete",
      writes: list,
      expectations: expectations.value,
      dryRun,
      includeContent: false,
      manager: "",
      warnings: [],
    });
  }

  get(caller: Caller, asked: Partial<ResourceKey>, showSecrets = false): Result<StoredResource, ApiError> {
    const key = completeKey(asked);
    if (!key.ok) return err(fault("INVALID_ARGUMENT", key.error));
    const secrets = secretsFor(caller, showSecrets);
    if (!secrets.ok) return secrets;
    if (!mayRead(caller, key.value)) return err(denied(caller, "read", key.value));
    const entries = this.#entries();
    if (!entries.ok) return entries;
    const entry = entries.value.get(storeKeyOf(key.value));
    if (entry === undefined) return err(fault("NOT_FOUND", `there is no ${formatKey(key.value)}`));
    return ok(showResource(key.value, entry, secrets.value));
  }

  list(caller: Caller, request: ListRequest): Result<ListResponse, ApiError> {
    const { pageSize = 0, pageToken = "", showSecrets = false } = request;
    const select = selection(caller, request);
    if (!select.ok) return select;
    const secrets = secretsFor(caller, showSecrets);
    if (!secrets.ok) return secrets;
    const entries = this.#entries();
    if (!entries.ok) return entries;
    const after = Buffer.from(pageToken, "base64url").toString();
    const size = pageSize > 0 ? Math.min(pageSize, MAX_PAGE_RESOURCES) : MAX_PAGE_RESOURCES;
    const resources: StoredResource[] = [];
    let bytes = 0;
    let last = "";
    for (const storeKey of [...entries.value.keys()].filter((each) => each > after).sort()) {
      const key = parseStoreKey(storeKey);
      const entry = entries.value.get(storeKey);
      if (key === undefined || entry === undefined || !select.value(key)) continue;
      if (resources.length === size || (bytes > 0 && bytes + entry.value.length > MAX_PAGE_BYTES))
        return ok({ revision: this.revision, resources, nextPageToken: Buffer.from(last).toString("base64url") });
      resources.push(showResource(key, entry, secrets.value));
      bytes += entry.value.length;
      last = storeKey;
    }
    return ok({ revision: this.revision, resources, nextPageToken: "" });
  }

  /** `onReady` is called when there may be something to take. Whoever watches closes it. */
  watch(
    caller: Caller,
    selector: Selector,
    fromRevision: number | undefined,
    onReady: () => void,
  ): Result<ResourceWatch, ApiError> {
    const select = selection(caller, selector);
    if (!select.ok) return select;
    const entries = this.#entries();
    if (!entries.ok) return entries;
    if (this.#watches >= MAX_WATCHES)
      return err({
        ...fault("RESOURCE_EXHAUSTED", `${MAX_WATCHES} watches are open, and no more are allowed`),
        retryAfterS: 10,
      });
    this.#watches += 1;
    const onClose = (): void => {
      this.#watches -= 1;
    };
    return ok(
      new ResourceWatch({
        store: this.#options.store,
        history: this.#history,
        select: select.value,
        fromRevision,
        onReady,
        onClose,
      }),
    );
  }

  get revision(): number {
    return this.#options.store.revision;
  }

  /** What is stored, and who has written last. */
  inspect(): Json {
    const { store } = this.#options;
    const entries = [...(store.entries?.values() ?? [])];
    const last = entries.filter(({ revision }) => revision === store.revision);
    const wrote = last[0] && decodeStoredValue(last[0].value);
    return {
      store: store.name,
      revision: store.revision,
      resources: entries.length,
      trouble: store.trouble ?? null,
      // Of a delete nobody's name remains.
      lastWrite: wrote?.ok === true ? writeJson(wrote.value, last) : null,
    };
  }

  #entries(): Result<ReadonlyMap<string, StoredEntry>, ApiError> {
    const { entries, trouble } = this.#options.store;
    return entries === undefined ? err(unread(trouble)) : ok(entries);
  }
}

/** It is shown to others, in terminals and in comments. */
function strangeManager(manager: string): ApiError | undefined {
  if (/^[\w .,:;@/+()-]{0,100}$/.test(manager)) return undefined;
  return fault(
    "INVALID_ARGUMENT",
    "manager: allowed are letters, digits, spaces and . , : ; @ / + ( ) - _, at most 100",
  );
}

/** Which resources are meant, of those that the caller may see. */
function selection(caller: Caller, selector: Selector): Result<(key: ResourceKey) => boolean, ApiError> {
  const { type = "", namespace = "", namePrefix = "", nodeCluster = "" } = selector;
  const wanted = type === "" ? undefined : findStoredType(type)?.type;
  if (type !== "" && wanted === undefined)
    return err(fault("INVALID_ARGUMENT", `type: found "${type}", allowed: ${knownTypes()}`));
  return ok(
    (key) =>
      (wanted === undefined || key.type === wanted) &&
      (namespace === "" || key.namespace === namespace) &&
      (nodeCluster === "" || key.nodeCluster === nodeCluster) &&
      key.name.startsWith(namePrefix) &&
      mayRead(caller, key),
  );
}

function secretsFor(caller: Caller, asked: boolean): Result<"shown" | "redacted", ApiError> {
  if (!asked) return ok("redacted");
  return maySeeSecrets(caller)
    ? ok("shown")
    : err(fault("PERMISSION_DENIED", "only a token with the role admin sees secrets"));
}

function writeJson({ author, manager, updatedAtMs }: StoredValue, entries: readonly StoredEntry[]): Json {
  const keys = entries.slice(0, SHOWN_KEYS).map(({ key }) => {
    const parsed = parseStoreKey(key);
    return parsed === undefined ? key : formatKey(parsed);
  });
  return { by: authorName(author), manager, at: new Date(updatedAtMs).toISOString(), resources: entries.length, keys };
}
