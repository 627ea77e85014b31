import { status } from "@grpc/grpc-js";
import { Backoff, type Clock, type Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { EntryTable } from "./entry-table.ts";
import { EtcdError } from "./etcd/etcd-channel.ts";
import type { EtcdSecurity } from "./etcd/etcd-security.ts";
import { EtcdSession } from "./etcd/etcd-session.ts";
import type { TxnRequest, TxnResponse, WatchResponse } from "./etcd/etcd-wire.ts";
import { KeySpace } from "./etcd/key-space.ts";
import { Staging } from "./staging.ts";
import type { CommitOutcome, Store, StoreChange, StoredEntry, StoreUpdate, StoreWatcher } from "./store.ts";
import { StoreError } from "./store-error.ts";
import { faultOfBatch, STORE_LIMITS, type StoreLimits } from "./store-limits.ts";
import { Watchers } from "./watchers.ts";

export interface EtcdStoreOptions {
  /** Of the members, "10.0.0.1:2379"; tried in turn. */
  readonly endpoints: readonly string[];
  /** Ends in a slash. Keys below it are the store's. */
  readonly prefix: string;
  readonly security: EtcdSecurity;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: StoreLimits;
  /** How long a member may take for an answer, and a commit on the whole. Default: 5 s. */
  readonly timeoutMs?: number;
}

/** As many changes as etcd takes in one transaction (--max-txn-ops), and bytes (--max-request-bytes, 1.5 MiB). */
export const ETCD_LIMITS: StoreLimits = { ...STORE_LIMITS, maxBatchChanges: 128, maxBatchBytes: 1_400_000 };

/**
 * A store in etcd, for several control planes. A batch is one transaction, a revision is etcd's; what a store shows comes
 * from its watch alone, so every replica goes through the same states in the same order.
 *
 *     away      no member; the next is tried, and after a round of all a back-off
 *     reading   a member of the majority has answered; everything is read where nothing is known or too much was missed
 *     following the watch brings every change
 *
 * What was read goes on being shown, whatever becomes of etcd.
 */
export class EtcdStore implements Store {
  readonly name: string;
  readonly #options: EtcdStoreOptions;
  readonly #keys: KeySpace;
  readonly #limits: StoreLimits;
  readonly #timeoutMs: number;
  readonly #log: Log;
  readonly #watchers = new Watchers();
  readonly #backoff = new Backoff({ baseMs: 200, maxMs: 5_000 });

  #table: EntryTable | undefined;
  #clusterId = 0;
  /** The watch cannot go on where it ended: etcd has forgotten what came next. */
  #mustRead = true;
  /** Why no member can be followed, and why the last commit failed. */
  #away: string | undefined;
  #unwritable: string | undefined;
  #state: "new" | "open" | "closing" | "closed" = "new";
  /** In any state of its own. */
  #opened: EtcdSession | undefined;
  /** The one that is followed. */
  #session: EtcdSession | undefined;
  /** Of the back-off. */
  #pause: { readonly timer: Timer; readonly over: () => void } | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #commits = new Set<Promise<CommitOutcome>>();
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(options: EtcdStoreOptions) {
    this.name = `etcd ${options.endpoints.join(",")}${options.prefix}`;
    this.#options = options;
    this.#keys = new KeySpace(options.prefix);
    this.#limits = options.limits ?? ETCD_LIMITS;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#log = options.log.with({ part: "store" });
  }

  get entries(): ReadonlyMap<string, StoredEntry> | undefined {
    return this.#table?.entries;
  }

  /** Of the last change below the prefix, or a later one of etcd's. */
  get revision(): number {
    return this.#table?.revision ?? 0;
  }

  get trouble(): string | undefined {
    return this.#away ?? this.#unwritable;
  }

  watch(watcher: StoreWatcher): () => void {
    return this.#watchers.add(watcher);
  }

  /**
   * Resolves once everything has been read, or no member could be: `trouble` then says why, and it is tried on. Rejects with
   * a `StoreError` where trying on is of no use: a file that cannot be read, a password that is wrong.
   */
  async start(): Promise<void> {
    if (this.#state !== "new") throw new Error(`${this.name} has been started before`);
    this.#state = "open";
    const firstRound = Promise.withResolvers<void>();
    void this.#run(firstRound.resolve, (fault) => {
      this.#state = "closed";
      firstRound.reject(new StoreError("unusable", `${this.name}: ${fault}`));
    });
    await firstRound.promise;
  }

  commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    if (this.#state !== "open") return Promise.resolve(unavailable("the store is not open"));
    const table = this.#table;
    if (table === undefined) return Promise.resolve(unavailable(this.trouble ?? "the store has not been read yet"));
    const fault = faultOfBatch(changes, this.#limits);
    if (fault !== undefined) return Promise.resolve({ type: "refused", message: fault });
    // What is expected is etcd's to judge; what would be too much is judged by what is known here.
    const verdict = new Staging(table, this.#limits).stage(changes.map(({ key, value }) => ({ key, value })));
    if (verdict.type === "refused") return Promise.resolve(verdict);
    if (changes.length === 0) return Promise.resolve({ type: "committed", revision: table.revision });
    const commit = this.#commitTo(table, toTxn(changes, this.#keys), changes);
    this.#commits.add(commit);
    return commit.finally(() => this.#commits.delete(commit));
  }

  async close(): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    await Promise.allSettled(this.#commits);
    this.#state = "closed";
    this.#watchers.clear();
    this.#pause?.timer.cancel();
    this.#pause?.over();
    this.#opened?.close();
    this.#wake();
  }

  /** Goes from member to member until the store is closed. Never rejects. */
  async #run(settled: () => void, unusable: (fault: string) => void): Promise<void> {
    const { endpoints, clock } = this.#options;
    let faults: string[] = [];
    let isNew = true;
    for (let turn = 0; !this.#isClosed; turn++) {
      const member = endpoints[turn % endpoints.length]!;
      const sinceMs = clock.now();
      let followed = false;
      const ended = await this.#visit(member, () => {
        followed = true;
        isNew = false;
        settled();
      });
      if (this.#isClosed) break;
      if (isNew && isHopeless(ended)) {
        unusable(`${member}: ${ended.message}`);
        break;
      }
      this.#log.info("a member of etcd cannot be followed, or not any more", { member, fault: ended.message });
      if (followed && (this.#mustRead || clock.now() - sinceMs > STEADY_MS)) {
        faults = [];
        this.#backoff.reset();
        continue; // one that was lost at once counts as one that was not found
      }
      faults.push(`${member}: ${ended.message}`);
      if (faults.length < endpoints.length) continue;
      this.#setTrouble({ away: `no member of etcd can be followed: ${faults.join("; ")}` });
      settled();
      faults = [];
      await this.#rest(this.#backoff.nextMs());
    }
    settled();
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Follows a member as long as it can be followed; says what ended it. */
  async #visit(target: string, onFollowing: () => void): Promise<Error> {
    const { security, clock } = this.#options;
    let session: EtcdSession | undefined;
    try {
      session = await EtcdSession.open({ target, security, clock, timeoutMs: this.#timeoutMs });
      this.#opened = session;
      await this.#catchUp(session);
      if (this.#isClosed) return new Error("closed");
      return await this.#follow(session, onFollowing);
    } catch (error) {
      return error as Error;
    } finally {
      session?.close();
      this.#session = undefined;
      this.#opened = undefined;
    }
  }

  /** Reads what the watch cannot bring. Asks in any case, since a member without a majority would let a watch wait for ever. */
  async #catchUp(session: EtcdSession): Promise<void> {
    const { first, end } = this.#keys;
    const { clusterId, revision } = await session.range({ key: first, rangeEnd: end, limit: 1, keysOnly: true });
    const known = this.#table;
    const isAnother = known !== undefined && (clusterId !== this.#clusterId || revision < known.revision);
    if (isAnother)
      this.#log.warn("etcd is another one, or has been set back: everything is read anew", {
        member: session.target,
        revision,
        known: known.revision,
      });
    this.#clusterId = clusterId;
    if (this.#mustRead || isAnother) await this.#readAll(session);
  }

  async #readAll(session: EtcdSession): Promise<void> {
    const { first, end } = this.#keys;
    const found = new EntryTable();
    let key: Uint8Array = first;
    for (let revision = 0; ; ) {
      const page = await session.range({ key, rangeEnd: end, limit: PAGE_ENTRIES, revision });
      if (revision === 0) revision = page.revision; // the other pages are of the same moment
      for (const kv of page.kvs) {
        const entry = this.#keys.toEntry(kv);
        if (entry !== undefined) found.put(entry);
      }
      const last = page.kvs.at(-1);
      if (page.more && last !== undefined) key = Buffer.concat([last.key, Buffer.alloc(1)]);
      else {
        found.reach(revision);
        break;
      }
    }
    if (this.#isClosed) return;
    this.#mustRead = false;
    this.#replace(found);
  }

  /** Makes what is shown equal to what was read, in one step. */
  #replace(found: EntryTable): void {
    const table = this.#table;
    if (table === undefined) {
      this.#table = found;
      this.#watchers.tell(found.everything());
      return;
    }
    const changed = [...found.entries.values()].filter((entry) => !isSame(table.entries.get(entry.key), entry));
    const removed = [...table.entries.keys()].filter((key) => !found.entries.has(key));
    this.#step(table, found.revision, changed, removed);
  }

  #step(table: EntryTable, revision: number, changed: readonly StoredEntry[], gone: readonly string[]): void {
    for (const entry of changed) table.put(entry);
    const removed = gone.filter((key) => table.remove(key));
    table.reach(revision);
    if (changed.length > 0 || removed.length > 0) this.#watchers.tell({ revision, changed, removed });
    this.#wake();
  }

  #follow(session: EtcdSession, onFollowing: () => void): Promise<Error> {
    const table = this.#table!;
    return new Promise((resolve) => {
      const onResponse = (response: WatchResponse): void => {
        if (response.compactRevision > 0) this.#mustRead = true;
        if (response.created && !response.canceled) {
          this.#log.info("following etcd", { member: session.target, revision: table.revision });
          this.#session = session;
          onFollowing();
          this.#setTrouble({ away: undefined, unwritable: undefined });
          this.#wake();
        }
        this.#apply(table, response);
      };
      session.watch(this.#keys, table.revision + 1, onResponse, resolve);
    });
  }

  /** One step for each revision, as they were committed. */
  #apply(table: EntryTable, { events }: WatchResponse): void {
    for (let at = 0; at < events.length; ) {
      const revision = events[at]!.kv.modRevision;
      const changed: StoredEntry[] = [];
      const removed: string[] = [];
      for (; events[at]?.kv.modRevision === revision; at++) {
        const { deleted, kv } = events[at]!;
        const entry = this.#keys.toEntry(kv);
        if (entry === undefined) continue;
        if (deleted) removed.push(entry.key);
        else changed.push(entry);
      }
      if (revision > table.revision) this.#step(table, revision, changed, removed);
    }
  }

  async #commitTo(table: EntryTable, txn: TxnRequest, changes: readonly StoreChange[]): Promise<CommitOutcome> {
    const deadlineMs = this.#options.clock.now() + this.#timeoutMs;
    // One behind the other: etcd takes what comes at once in any order.
    const turn = this.#lastTurn.then(() => this.#ask(txn, deadlineMs));
    this.#lastTurn = turn;
    const response = await turn;
    if ("type" in response) return response;
    if (!response.succeeded) {
      const found = response.found.map((kv) => this.#keys.toEntry(kv));
      return conflict(changes, found);
    }
    if (!response.changed) return { type: "committed", revision: table.revision };
    const { revision } = response;
    if (await this.#until(() => table.revision >= revision, deadlineMs)) return { type: "committed", revision };
    return unavailable(`committed as revision ${revision}, but etcd has not shown it to its watchers in time`);
  }

  /** Never rejects. */
  async #ask(txn: TxnRequest, deadlineMs: number): Promise<TxnResponse | CommitOutcome> {
    const { clock } = this.#options;
    for (let isFirst = true; ; isFirst = false) {
      if (!(await this.#until(() => this.#session !== undefined, deadlineMs)))
        return unavailable(this.trouble ?? "no member of etcd can be followed");
      const session = this.#session!;
      try {
        const response = await session.txn(txn, Math.max(1, deadlineMs - clock.now()));
        this.#setTrouble({ unwritable: undefined });
        return response;
      } catch (error) {
        if (!isFirst || !isLoggedOut(error)) return this.#failed(error as Error, session);
        session.lose(error as Error); // etcd has not looked at the batch; another session logs in anew
      }
    }
  }

  #failed(error: Error, session: EtcdSession): CommitOutcome {
    if (error instanceof EtcdError && error.code === status.INVALID_ARGUMENT)
      return { type: "refused", message: error.message }; // too large, too many operations
    const fault = `etcd does not take a batch: ${error.message}`;
    this.#setTrouble({ unwritable: fault });
    // A member that does not answer may have fallen behind the others, though its watch is alive.
    if (error instanceof EtcdError && NO_ANSWER.has(error.code)) session.lose(error);
    return unavailable(fault);
  }

  /** Whether the condition has come true in time. */
  async #until(condition: () => boolean, deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options;
    while (!condition()) {
      const leftMs = deadlineMs - clock.now();
      if (leftMs <= 0 || this.#isClosed) return false;
      await new Promise<void>((resolve) => {
        const timer = clock.after(leftMs, () => wake());
        const wake = (): void => {
          timer.cancel();
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
    return true;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  async #rest(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#pause = { timer: this.#options.clock.after(delayMs, resolve, true), over: resolve };
    });
    this.#pause = undefined;
  }

  #setTrouble(next: { readonly away?: string | undefined; readonly unwritable?: string | undefined }): void {
    const before = this.trouble;
    if ("away" in next) this.#away = next.away;
    if ("unwritable" in next) this.#unwritable = next.unwritable;
    const { trouble } = this;
    if (trouble === before) return;
    if (trouble === undefined) this.#log.info("the store is well again");
    else if (before === undefined) this.#log.error("the store cannot be written, or followed", { fault: trouble });
    this.#watchers.tell({ revision: this.revision, changed: [], removed: [] } satisfies StoreUpdate);
  }
}

const TIMEOUT_MS = 5_000;
const PAGE_ENTRIES = 500;
/** A member that was followed so long has been found for good. */
const STEADY_MS = 1_000;

/** Another etcd counts its revisions anew: it may have something else at the same one. */
function isSame(before: StoredEntry | undefined, { revision, value }: StoredEntry): boolean {
  return before?.revision === revision && Buffer.compare(before.value, value) === 0;
}

function toTxn(changes: readonly StoreChange[], keys: KeySpace): TxnRequest {
  return {
    expected: changes.flatMap(({ key, expectedRevision }) =>
      expectedRevision === undefined ? [] : [{ key: keys.toEtcd(key), modRevision: expectedRevision }],
    ),
    // Copied now: whoever owns the bytes may change them while the batch waits.
    changes: changes.map(({ key, value }) => ({ key: keys.toEtcd(key), value: value && Uint8Array.from(value) })),
  };
}

function conflict(changes: readonly StoreChange[], found: readonly (StoredEntry | undefined)[]): CommitOutcome {
  const revisions = new Map(
    found.flatMap((entry) => (entry === undefined ? [] : [[entry.key, entry.revision] as const])),
  );
  const conflicts = changes.flatMap(({ key, expectedRevision }) => {
    const foundRevision = revisions.get(key) ?? 0;
    return expectedRevision === undefined || expectedRevision === foundRevision
      ? []
      : [{ key, expectedRevision, foundRevision }];
  });
  return { type: "conflict", conflicts };
}

const NO_ANSWER: ReadonlySet<number> = new Set([status.DEADLINE_EXCEEDED, status.UNAVAILABLE]);

/** Trying on would be of no use: somebody has to change something first. */
function isHopeless(error: Error): boolean {
  if (!(error instanceof EtcdError)) return true; // a file that cannot be read
  return HOPELESS.has(error.code);
}

const HOPELESS: ReadonlySet<number> = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.INVALID_ARGUMENT, // "authentication failed, invalid user ID or password"
  status.FAILED_PRECONDITION, // "authentication is not enabled"
  status.UNIMPLEMENTED,
]);

function isLoggedOut(error: unknown): boolean {
  return (
    error instanceof EtcdError &&
    (error.code === status.UNAUTHENTICATED || /revision of auth store is old/.test(error.message))
  );
}

function unavailable(message: string): CommitOutcome {
  return { type: "unavailable", message };
}
