import { type Clock, err, type Inspectable, type Json, ok, type Result } from "@heddle/base";
import { type Diagnostic, formatDiagnostic, parseJsonDocument } from "@heddle/config";
import type { Log } from "@heddle/telemetry";
import type { ResourceTypes } from "@heddle/xds";
import { readStored } from "../source/read-stored.ts";
import type { SourceItem } from "../source/source.ts";
import type { Sources } from "../source/sources.ts";
import type { StoredSource } from "../source/stored.ts";
import type { Store, StoreChange, StoredEntry } from "../store/store.ts";
import { type Caller, mayRead, maySeeSecrets, mayWrite } from "./access.ts";
import { History } from "./history.ts";
import { type Draft, readManifests } from "./manifest.ts";
import {
  completeKey,
  findStoredType,
  formatKey,
  knownTypes,
  parseStoreKey,
  type ResourceKey,
  storeKeyOf,
} from "./resource-key.ts";
import {
  MAX_BATCH,
  MAX_PAGE_BYTES,
  MAX_PAGE_RESOURCES,
  MAX_RESOURCES,
  MAX_WAITING_WRITES,
  MAX_WATCHES,
  MAX_YAML_BYTES,
} from "./resource-limits.ts";
import { ResourceWatch } from "./resource-watch.ts";
import { showContent, showResource } from "./show-resource.ts";
import { decodeStoredValue, encodeStoredValue, type StoredContent, type StoredValue } from "./stored-value.ts";
import { verdictOf } from "./verdict.ts";
import type {
  ApiDiagnostic,
  ApiError,
  ApiErrorCode,
  ApplyRequest,
  BatchResponse,
  Conflict,
  DeleteRequest,
  ExpectedVersion,
  ListRequest,
  ListResponse,
  Manifest,
  ResourceOutcome,
  Selector,
  StoredResource,
} from "./wire.ts";
import { WriteRate } from "./write-rate.ts";

export interface ResourceServiceOptions {
  readonly store: Store;
  /** Reads that store. */
  readonly stored: StoredSource;
  /** All sources, that one among them: what is put must go with what the others hold. */
  readonly sources: Sources;
  /** What a sidecar of ours says of resources. */
  readonly types: ResourceTypes;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * What the resource API does, whoever asks by whichever face: reads are answered from what the store holds; a write is
 * checked against the world that it would make, and stored whole or not at all.
 *
 * Writes take turns, so that none is checked against a world that another one is about to change. Other replicas take turns
 * of their own: a batch that meets theirs in the store is checked anew.
 */
export class ResourceService implements Inspectable {
  readonly name = "resources";
  readonly #options: ResourceServiceOptions;
  readonly #history: History;
  readonly #rate: WriteRate;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #watches = 0;

  constructor(options: ResourceServiceOptions) {
    this.#options = options;
    this.#history = new History(options.store);
    this.#rate = new WriteRate(options.clock);
  }

  close(): void {
    this.#history.close();
  }

  /** @param only the one resource that the batch must be, where its address says so. */
  async apply(caller: Caller, request: ApplyRequest, only?: ResourceKey): Promise<Result<BatchResponse, ApiError>> {
    const { manifests, nodeCluster = "", dryRun = false, includeContent = false, manager = "" } = request;
    const barred = this.#barred(caller, "apply") ?? tooMuchYaml(manifests) ?? strangeManager(manager);
    if (barred !== undefined) return err(barred);
    const { drafts, diagnostics } = readManifests(manifests, nodeCluster);
    if (diagnostics.some(isError)) return this.#refused(caller, "apply", [], invalid(diagnostics));
    if (drafts.length === 0) return err(fault("INVALID_ARGUMENT", "nothing that was sent is a resource", diagnostics));
    const stranger = only && drafts.find(({ key }) => drafts.length > 1 || storeKeyOf(key) !== storeKeyOf(only));
    if (only !== undefined && stranger !== undefined)
      return err(fault("INVALID_ARGUMENT", `found ${formatKey(stranger.key)}, allowed here: ${formatKey(only)} alone`));
    const writes: Write[] = drafts.map((draft) => ({ key: draft.key, draft }));
    const expectations = readExpectations(writes, request.expected ?? [], request.expectedVersion);
    if (!expectations.ok) return expectations;
    const warnings = [...diagnostics, ...drafts.flatMap((draft) => verdictOf(draft, this.#options.types))];
    return this.#write(caller, {
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
    const barred = this.#barred(caller, "delete");
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
    return this.#write(caller, {
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
    return entries === undefined ? err(unavailable(trouble ?? "the store has not been read yet")) : ok(entries);
  }

  /** Why a write is not looked at: looking costs the more the larger it is. */
  #barred(caller: Caller, verb: string): ApiError | undefined {
    if (caller.role === "read") {
      const error = fault("PERMISSION_DENIED", `"${caller.name}" may read alone`);
      this.#options.log.info("resources not written", { ...auditFields(caller, verb, []), code: error.code });
      return error;
    }
    const retryAfterS = this.#rate.take(caller.name);
    return retryAfterS === 0 ? undefined : { ...fault("RESOURCE_EXHAUSTED", "too many writes"), retryAfterS };
  }

  async #write(caller: Caller, batch: Batch): Promise<Result<BatchResponse, ApiError>> {
    const { verb, writes, dryRun } = batch;
    const keys = writes.map(({ key }) => key);
    if (writes.length > MAX_BATCH)
      return this.#refused(
        caller,
        verb,
        keys,
        fault("INVALID_ARGUMENT", `found ${writes.length} resources, allowed are ${MAX_BATCH} in one batch`),
      );
    const forbidden = keys.find((key) => !mayWrite(caller, key));
    if (forbidden !== undefined) return this.#refused(caller, verb, keys, denied(caller, "write", forbidden));
    if (this.#waiting >= MAX_WAITING_WRITES)
      return err({ ...fault("RESOURCE_EXHAUSTED", "too many writes wait for their turn"), retryAfterS: 1 });

    this.#waiting += 1;
    const outcome = this.#turn.then(() => this.#writeInTurn(caller, batch));
    this.#turn = outcome.catch(() => undefined);
    const written = await outcome.finally(() => {
      this.#waiting -= 1;
    });
    if (!written.ok) return this.#refused(caller, verb, keys, written.error);
    const changed = written.value.outcomes.filter((one) => one.outcome !== "unchanged");
    if (!dryRun && changed.length > 0)
      this.#options.log.info("resources written", {
        ...auditFields(
          caller,
          verb,
          changed.map(({ key }) => key),
        ),
        revision: written.value.revision,
      });
    return written;
  }

  async #writeInTurn(caller: Caller, batch: Batch): Promise<Result<BatchResponse, ApiError>> {
    for (let attempt = 1; ; attempt += 1) {
      const judged = this.#judge(caller, batch);
      if (!judged.ok) return judged;
      const { outcomes, changes, warnings } = judged.value;
      if (batch.dryRun || changes.length === 0) return ok({ revision: this.revision, outcomes, warnings });
      const committed = await this.#options.store.commit(changes);
      if (committed.type === "unavailable") return err(unavailable(committed.message));
      if (committed.type === "refused") return err(fault("INVALID_ARGUMENT", committed.message));
      if (committed.type === "committed") {
        const { revision } = committed;
        return ok({
          revision,
          outcomes: outcomes.map((one) =>
            one.outcome === "unchanged" ? one : { ...one, version: one.outcome === "deleted" ? 0 : revision },
          ),
          warnings,
        });
      }
      // Another replica was first. What it changed is there in a moment, and decides whether this batch still goes.
      if (attempt === MAX_ATTEMPTS) return err(conflict(conflictsOf(committed.conflicts)));
      await this.#caughtUp(Math.max(...committed.conflicts.map(({ foundRevision }) => foundRevision)));
    }
  }

  /** What a batch would do to the store as it is now, or why it may not. Nothing is awaited in here. */
  #judge(caller: Caller, { writes, expectations, includeContent, manager, ...batch }: Batch): Result<Judged, ApiError> {
    const { stored, sources, clock } = this.#options;
    const entries = this.#entries();
    if (!entries.ok) return entries;

    const conflicts: Conflict[] = [];
    const outcomes: ResourceOutcome[] = [];
    const changes: StoreChange[] = [];
    const items = new Map<string, SourceItem | undefined>();
    const places = new Map<string, Draft>();
    for (const { key, draft } of writes) {
      const storeKey = storeKeyOf(key);
      const entry = entries.value.get(storeKey);
      const found = entry?.revision ?? 0;
      const expected = expectations.get(storeKey);
      if (expected !== undefined && expected !== found) conflicts.push({ key, expected, found });
      const outcome = outcomeOf(key, entry, draft);
      outcomes.push({ key, outcome, version: found, ...(includeContent && beforeAndAfter(entry, draft)) });
      if (draft !== undefined) places.set(draft.item.origin.file, draft);
      if (outcome === "unchanged") continue;
      items.set(storeKey, draft?.item);
      const value =
        draft && encodeStoredValue({ ...draft, author: caller.name, manager, updatedAtMs: clock.wallNow() });
      changes.push({ key: storeKey, value, expectedRevision: found });
    }
    if (conflicts.length > 0) return err(conflict(conflicts));
    const created = outcomes.filter(({ outcome }) => outcome === "created").length;
    if (entries.value.size + created > MAX_RESOURCES)
      return err(
        fault(
          "RESOURCE_EXHAUSTED",
          `the store would hold ${entries.value.size + created} resources, allowed are ${MAX_RESOURCES}`,
        ),
      );

    const after = sources.suppose(stored, stored.itemsWith(items));
    if (after === undefined) return err(unavailable("the configuration has not been read yet"));
    const known = new Set(sources.between.map(formatDiagnostic));
    const news = after.filter((one) => !known.has(formatDiagnostic(one))).map((one) => placed(one, places));
    if (news.some(isError)) return err(invalid([...batch.warnings, ...news]));
    return ok({ outcomes, changes, warnings: [...batch.warnings, ...news] });
  }

  /** Resolves when the store has that revision, or after a second. */
  #caughtUp(revision: number): Promise<void> {
    const { store, clock } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        unwatch();
        resolve();
      };
      const timer = clock.after(CATCH_UP_MS, done);
      const unwatch = store.watch(() => {
        if (store.revision >= revision) done();
      });
      if (store.revision >= revision) done();
    });
  }

  #refused(caller: Caller, verb: string, keys: readonly ResourceKey[], error: ApiError): Result<never, ApiError> {
    this.#options.log.info("resources not written", { ...auditFields(caller, verb, keys), code: error.code });
    return err(error);
  }
}

const MAX_ATTEMPTS = 5;
const CATCH_UP_MS = 1000;

/** One resource of a batch; without a draft it is to go. */
interface Write {
  readonly key: ResourceKey;
  readonly draft: Draft | undefined;
}

interface Batch {
  readonly verb: "apply" | "delete";
  readonly writes: readonly Write[];
  /** By the store's key. */
  readonly expectations: ReadonlyMap<string, number>;
  readonly dryRun: boolean;
  readonly includeContent: boolean;
  readonly manager: string;
  readonly warnings: readonly ApiDiagnostic[];
}

interface Judged {
  readonly outcomes: readonly ResourceOutcome[];
  readonly changes: readonly StoreChange[];
  readonly warnings: readonly ApiDiagnostic[];
}

function tooMuchYaml(manifests: readonly Manifest[]): ApiError | undefined {
  const sum = (texts: readonly string[]): number => texts.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
  const texts = manifests.map(({ text = "" }) => text);
  if (sum(texts) <= MAX_YAML_BYTES) return undefined;
  const bytes = sum(texts.filter((text) => parseJsonDocument("", text) === undefined));
  if (bytes <= MAX_YAML_BYTES) return undefined;
  return fault(
    "INVALID_ARGUMENT",
    `found ${bytes} bytes of YAML, allowed are ${MAX_YAML_BYTES} in one batch; JSON may be longer`,
  );
}

/** It is shown to others, in terminals and in comments. */
function strangeManager(manager: string): ApiError | undefined {
  if (/^[\w .,:;@/+()-]{0,100}$/.test(manager)) return undefined;
  return fault(
    "INVALID_ARGUMENT",
    "manager: allowed are letters, digits, spaces and . , : ; @ / + ( ) - _, at most 100",
  );
}

function outcomeOf(
  key: ResourceKey,
  entry: StoredEntry | undefined,
  draft: Draft | undefined,
): ResourceOutcome["outcome"] {
  if (draft === undefined) return entry === undefined ? "unchanged" : "deleted";
  if (entry === undefined) return "created";
  const before = decodeStoredValue(entry.value);
  const same = before.ok && before.value.override === draft.override && sameContent(key, before.value, draft);
  return same ? "unchanged" : "changed";
}

/** xDS resources that mean the same are the same, however they are written. */
function sameContent(
  key: ResourceKey,
  before: { readonly content: StoredContent; readonly override: boolean },
  { content, item }: Draft,
): boolean {
  if (item.kind !== "raw") return canonical(before.content) === canonical(content);
  const [old] = readStored(key, before).items;
  if (old?.kind !== "raw" || Buffer.compare(old.bytes, item.bytes) !== 0) return false;
  return JSON.stringify(old.wrapping) === JSON.stringify(item.wrapping);
}

function canonical(content: StoredContent): string {
  return JSON.stringify(content, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}

function beforeAndAfter(
  entry: StoredEntry | undefined,
  draft: Draft | undefined,
): Pick<ResourceOutcome, "before" | "after"> {
  const before = entry && decodeStoredValue(entry.value);
  return {
    ...(before?.ok === true && { before: showContent(before.value.content, "redacted") }),
    ...(draft && { after: showContent(draft.content, "redacted") }),
  };
}

/** What is said of a stored resource, told of the place where the batch has it. */
function placed(diagnostic: Diagnostic, places: ReadonlyMap<string, Draft>): ApiDiagnostic {
  const { file, path, message, severity } = diagnostic;
  const draft = places.get(file);
  if (draft !== undefined) return draft.diagnostic(path, message, severity);
  const { file: source, ...rest } = diagnostic;
  return { ...rest, source, document: 0 };
}

function readExpectations(
  writes: readonly Write[],
  expected: readonly ExpectedVersion[],
  ofAll: number | undefined,
): Result<ReadonlyMap<string, number>, ApiError> {
  const byKey = new Map<string, number>();
  const inBatch = new Set(writes.map(({ key }) => storeKeyOf(key)));
  if (ofAll !== undefined) for (const storeKey of inBatch) byKey.set(storeKey, ofAll);
  for (const { key: asked, version } of expected) {
    const key = completeKey(asked);
    if (!key.ok) return err(fault("INVALID_ARGUMENT", `expected: ${key.error}`));
    const storeKey = storeKeyOf(key.value);
    if (!inBatch.has(storeKey))
      return err(fault("INVALID_ARGUMENT", `expected: ${formatKey(key.value)} is not in the batch`));
    byKey.set(storeKey, version);
  }
  return ok(byKey);
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

function conflictsOf(
  conflicts: readonly { key: string; expectedRevision: number; foundRevision: number }[],
): Conflict[] {
  return conflicts.flatMap(({ key: storeKey, expectedRevision: expected, foundRevision: found }) => {
    const key = parseStoreKey(storeKey);
    return key === undefined ? [] : [{ key, expected, found }];
  });
}

function conflict(conflicts: readonly Conflict[]): ApiError {
  const lines = conflicts.map(
    ({ key, expected, found }) => `${formatKey(key)} ${whatWasFound(found)}, expected ${expected}`,
  );
  return { code: "ABORTED", message: lines.join("; "), conflicts };
}

function whatWasFound(version: number): string {
  return version === 0 ? "does not exist" : `has version ${version}`;
}

function denied(caller: Caller, what: "read" | "write", key: ResourceKey): ApiError {
  return fault("PERMISSION_DENIED", `"${caller.name}" may not ${what} ${formatKey(key)}`);
}

function invalid(diagnostics: readonly ApiDiagnostic[]): ApiError {
  const errors = diagnostics.filter(isError).length;
  return fault("INVALID_ARGUMENT", `nothing was stored: ${errors} ${errors === 1 ? "error" : "errors"}`, diagnostics);
}

function unavailable(message: string): ApiError {
  return fault("UNAVAILABLE", message);
}

function fault(code: ApiErrorCode, message: string, diagnostics?: readonly ApiDiagnostic[]): ApiError {
  return diagnostics === undefined ? { code, message } : { code, message, diagnostics };
}

function isError({ severity }: { readonly severity: "error" | "warning" }): boolean {
  return severity === "error";
}

function writeJson({ author, manager, updatedAtMs }: StoredValue, entries: readonly StoredEntry[]): Json {
  const keys = entries.slice(0, SHOWN_KEYS).map(({ key }) => {
    const parsed = parseStoreKey(key);
    return parsed === undefined ? key : formatKey(parsed);
  });
  return { by: nameOf(author), manager, at: new Date(updatedAtMs).toISOString(), resources: entries.length, keys };
}

function nameOf(author: string): string {
  return author === "" ? "anybody" : author;
}

const SHOWN_KEYS = 20;

/** One line a write: who, what and how many; never content. */
function auditFields(caller: Caller, verb: string, keys: readonly ResourceKey[]) {
  const shown = keys.slice(0, SHOWN_KEYS).map(formatKey);
  return { verb, by: nameOf(caller.name), resources: keys.length, keys: shown };
}
