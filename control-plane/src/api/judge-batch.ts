import { type Clock, err, ok, type Result } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import { readStored } from "../source/read-stored.ts";
import type { SourceItem } from "../source/source.ts";
import type { Sources } from "../source/sources.ts";
import type { StoredSource } from "../source/stored.ts";
import type { StoreChange, StoredEntry } from "../store/store.ts";
import type { Caller } from "./access.ts";
import { conflict, fault, invalid, isError, unavailable } from "./api-errors.ts";
import type { Draft } from "./manifest.ts";
import { completeKey, formatKey, type ResourceKey, storeKeyOf } from "./resource-key.ts";
import { MAX_RESOURCES } from "./resource-limits.ts";
import { showContent } from "./show-resource.ts";
import { decodeStoredValue, encodeStoredValue, type StoredContent } from "./stored-value.ts";
import type { ApiDiagnostic, ApiError, Conflict, ExpectedVersion, ResourceOutcome } from "./wire.ts";

/** One resource of a batch; without a draft it is to go. */
export interface Write {
  readonly key: ResourceKey;
  readonly draft: Draft | undefined;
}

export interface Batch {
  readonly verb: "apply" | "delete";
  readonly writes: readonly Write[];
  /** By the store's key. */
  readonly expectations: ReadonlyMap<string, number>;
  readonly dryRun: boolean;
  readonly includeContent: boolean;
  readonly manager: string;
  readonly warnings: readonly ApiDiagnostic[];
}

export interface Judged {
  readonly outcomes: readonly ResourceOutcome[];
  readonly changes: readonly StoreChange[];
  readonly warnings: readonly ApiDiagnostic[];
}

/** What a batch is judged by. */
export interface World {
  readonly entries: ReadonlyMap<string, StoredEntry>;
  readonly stored: StoredSource;
  readonly sources: Sources;
  readonly clock: Clock;
}

/** What a batch would do to the store as it is now, or why it may not. Nothing is awaited in here. */
export function judgeBatch(caller: Caller, batch: Batch, world: World): Result<Judged, ApiError> {
  const { writes, expectations, includeContent, manager } = batch;
  const { entries, stored, sources, clock } = world;
  const conflicts: Conflict[] = [];
  const outcomes: ResourceOutcome[] = [];
  const changes: StoreChange[] = [];
  const items = new Map<string, SourceItem | undefined>();
  const places = new Map<string, Draft>();
  for (const { key, draft } of writes) {
    const storeKey = storeKeyOf(key);
    const entry = entries.get(storeKey);
    const found = entry?.revision ?? 0;
    const expected = expectations.get(storeKey);
    if (expected !== undefined && expected !== found) conflicts.push({ key, expected, found });
    const outcome = outcomeOf(key, entry, draft);
    outcomes.push({ key, outcome, version: found, ...(includeContent && beforeAndAfter(entry, draft)) });
    if (draft !== undefined) places.set(draft.item.origin.file, draft);
    if (outcome === "unchanged") continue;
    items.set(storeKey, draft?.item);
    const value = draft && encodeStoredValue({ ...draft, author: caller.name, manager, updatedAtMs: clock.wallNow() });
    changes.push({ key: storeKey, value, expectedRevision: found });
  }
  if (conflicts.length > 0) return err(conflict(conflicts));
  const created = outcomes.filter(({ outcome }) => outcome === "created").length;
  if (entries.size + created > MAX_RESOURCES)
    return err(
      fault(
        "RESOURCE_EXHAUSTED",
        `the store would hold ${entries.size + created} resources, allowed are ${MAX_RESOURCES}`,
      ),
    );

  const after = sources.suppose(stored, stored.itemsWith(items));
  if (after === undefined) return err(unavailable("the configuration has not been read yet"));
  const known = new Set(sources.between.map(formatDiagnostic));
  const news = after.filter((one) => !known.has(formatDiagnostic(one))).map((one) => placed(one, places));
  if (news.some(isError)) return err(invalid([...batch.warnings, ...news]));
  return ok({ outcomes, changes, warnings: [...batch.warnings, ...news] });
}

/** The versions that the resources of a batch must have, by the store's key. `ofAll` is for each, `expected` for some. */
export function readExpectations(
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
