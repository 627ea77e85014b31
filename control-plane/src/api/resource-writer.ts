import { setImmediate } from "node:timers/promises";
import { type Clock, err, ok, type Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { CallRate } from "../call-rate.ts";
import type { Sources } from "../source/sources.ts";
import type { StoredSource } from "../source/stored.ts";
import type { Store } from "../store/store.ts";
import { type Caller, mayWrite } from "./access.ts";
import { conflict, denied, fault, unavailable, unread } from "./api-errors.ts";
import { auditFields } from "./audit.ts";
import { type Batch, type Judged, judgeBatch } from "./judge-batch.ts";
import { parseStoreKey, type ResourceKey } from "./resource-key.ts";
import { MAX_BATCH, MAX_WAITING_WRITES, WRITE_RATE } from "./resource-limits.ts";
import type { ApiError, BatchResponse, Conflict } from "./wire.ts";

export interface ResourceWriterOptions {
  readonly store: Store;
  /** Reads that store. */
  readonly stored: StoredSource;
  /** All sources, that one among them: what is put must go with what the others hold. */
  readonly sources: Sources;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Takes batches into the store, each whole or not at all, and says in the log who wrote what.
 *
 * Writes take turns, so that none is checked against a world that another one is about to change. Other replicas take turns
 * of their own: a batch that meets theirs in the store is checked anew.
 */
export class ResourceWriter {
  readonly #options: ResourceWriterOptions;
  /** By caller. */
  readonly #rate: CallRate;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: ResourceWriterOptions) {
    this.#options = options;
    this.#rate = new CallRate(options.clock, WRITE_RATE);
  }

  /** Why a write is not looked at: looking costs the more the larger it is. */
  barred(caller: Caller, verb: string): ApiError | undefined {
    if (caller.role === "read") {
      const error = fault("PERMISSION_DENIED", `"${caller.name}" may read alone`);
      this.#options.log.info("resources not written", { ...auditFields(caller, verb, []), code: error.code });
      return error;
    }
    const retryAfterS = this.#rate.take(caller.name);
    return retryAfterS === 0 ? undefined : { ...fault("RESOURCE_EXHAUSTED", "too many writes"), retryAfterS };
  }

  /** Says in the log who was refused what. */
  refused(caller: Caller, verb: string, keys: readonly ResourceKey[], error: ApiError): Result<never, ApiError> {
    this.#options.log.info("resources not written", { ...auditFields(caller, verb, keys), code: error.code });
    return err(error);
  }

  /** Takes its turn. Resolves with what has become of each resource, or why nothing was stored. */
  async write(caller: Caller, batch: Batch): Promise<Result<BatchResponse, ApiError>> {
    const { verb, writes, dryRun } = batch;
    const keys = writes.map(({ key }) => key);
    if (writes.length > MAX_BATCH)
      return this.refused(
        caller,
        verb,
        keys,
        fault("INVALID_ARGUMENT", `found ${writes.length} resources, allowed are ${MAX_BATCH} in one batch`),
      );
    const forbidden = keys.find((key) => !mayWrite(caller, key));
    if (forbidden !== undefined) return this.refused(caller, verb, keys, denied(caller, "write", forbidden));
    if (this.#waiting >= MAX_WAITING_WRITES)
      return err({ ...fault("RESOURCE_EXHAUSTED", "too many writes wait for their turn"), retryAfterS: 1 });

    this.#waiting += 1;
    const outcome = this.#turn.then(() => this.#writeInTurn(caller, batch));
    // Judging is work of tens of milliseconds, and a dry run awaits nothing: between two of them xDS streams have theirs.
    this.#turn = outcome.catch(() => undefined).then(() => setImmediate());
    const written = await outcome.finally(() => {
      this.#waiting -= 1;
    });
    if (!written.ok) return this.refused(caller, verb, keys, written.error);
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
      if (batch.dryRun || changes.length === 0)
        return ok({ revision: this.#options.store.revision, outcomes, warnings });
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

  #judge(caller: Caller, batch: Batch): Result<Judged, ApiError> {
    const { store, stored, sources, clock } = this.#options;
    const { entries, trouble } = store;
    if (entries === undefined) return err(unread(trouble));
    return judgeBatch(caller, batch, { entries, stored, sources, clock });
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
}

const MAX_ATTEMPTS = 5;
const CATCH_UP_MS = 1000;

function conflictsOf(
  conflicts: readonly { key: string; expectedRevision: number; foundRevision: number }[],
): Conflict[] {
  return conflicts.flatMap(({ key: storeKey, expectedRevision: expected, foundRevision: found }) => {
    const key = parseStoreKey(storeKey);
    return key === undefined ? [] : [{ key, expected, found }];
  });
}
