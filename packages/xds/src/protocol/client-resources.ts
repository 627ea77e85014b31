import { hash } from "node:crypto";
import { type Clock, err, type Result } from "@heddle/base";
import type { Decoded, ResourceKind } from "../resource/resource-type.ts";
import type { AcceptedResource, ResourceUpdate } from "../subscription.ts";
import { AliasBook } from "./alias-book.ts";
import { AwaitedNames } from "./awaited-names.ts";
import { Expiries } from "./expiries.ts";
import { emptyReceipt, type Receipt, type ReceivedResource } from "./receipt.ts";
import { WILDCARD } from "./subscription.ts";
import { traitsOf } from "./type-urls.ts";
import type { ResourceError } from "./wire.ts";
import { peekName } from "./wire-reader.ts";
import { canonicalName, collectionOf, isCollection } from "./xdstp-name.ts";

/** google.rpc.Code NOT_FOUND. */
const NOT_FOUND = 5;

/** Endpoints are the bulk of a mesh, and read whole; of secrets there shall be no further copy. */
const KEPT_DECODED: ReadonlySet<ResourceKind> = new Set(["endpoints", "secret"]);

/** What a client needs of a `ResourceType`, whatever its config type: `nameOf` is given only what `decode` gave. */
export interface ClientResourceType {
  readonly typeUrl: string;
  readonly kind: ResourceKind;
  readonly completeInSotw: boolean;
  decode(bytes: Uint8Array): Result<Decoded<unknown>, readonly string[]>;
  nameOf(config: unknown): string;
}

/** What was added to a subscription and taken away from it, "*" included. */
export interface WantedChange {
  readonly added: readonly string[];
  readonly dropped: readonly string[];
}

/** One resource as it stands in this client (gRFC A40, `ClientResourceStatus`). */
export interface ResourceStatus {
  readonly kind: ResourceKind;
  readonly typeUrl: string;
  readonly name: string;
  readonly state: "REQUESTED" | "SYNCED" | "NACKED" | "DOES_NOT_EXIST";
  /** In force; empty if none is. */
  readonly version: string;
  /** Why the last version was refused: every reason. */
  readonly errors: readonly string[];
  readonly rejectedVersion: string;
  readonly unhonoured: AcceptedResource["unhonoured"];
  /** Wall clock, milliseconds; undefined until something came. */
  readonly updatedAtMs: number | undefined;
}

/** What became of names that a server said do not exist. */
export interface Removal {
  /** Resources that were held. */
  readonly removed: string[];
  /** Names that were asked for, and of which it is news that they do not exist. */
  readonly absent: string[];
}

interface Entry {
  accepted: AcceptedResource | undefined;
  /** Of the bytes that were accepted. */
  digest: string;
  rejected: { readonly version: string; readonly reasons: readonly string[] } | undefined;
  absent: boolean;
  updatedAtMs: number | undefined;
}

/**
 * The resources of one type that a client wants and holds, whatever variant of the protocol brings them. What was accepted
 * stays until something better was accepted, it was removed, its time to live is over, or nobody wants it any more.
 */
export class ClientResources {
  readonly type: ClientResourceType;
  readonly #clock: Clock;
  readonly #onTimeout: (update: ResourceUpdate) => void;
  readonly #entries: Map<string, Entry> = new Map();
  readonly #names: Set<string> = new Set();
  /** Of the names, those that stand for all resources of a folder. */
  readonly #collections: Set<string> = new Set();
  readonly #aliases = new AliasBook();
  #wildcard = false;
  #asking = false;
  readonly #waiting: AwaitedNames;
  readonly #expiries: Expiries;
  /** Names whose time was over and that have not come again: no version of the whole stands for what is held. */
  readonly #expired: Set<string> = new Set();
  /** Of those, the ones of which no heartbeat has come since. */
  readonly #quiet: Set<string> = new Set();

  constructor(type: ClientResourceType, clock: Clock, onTimeout: (update: ResourceUpdate) => void) {
    this.type = type;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
    this.#waiting = new AwaitedNames(clock, (names) => this.#giveUp(names));
    this.#expiries = new Expiries(clock, (names) => this.#expire(names));
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** Wanted by name; "*" is not among them. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  get wantsAnything(): boolean {
    return this.#wildcard || this.#names.size > 0;
  }

  /** Whether every name that is wanted has been answered, and nothing that was held has expired since. */
  get isAnswered(): boolean {
    if (this.#expired.size > 0) return false;
    for (const name of this.#names) if (!this.#isAnswered(name)) return false;
    return true;
  }

  /** Name to version of everything that was accepted and is held. */
  heldVersions(): Map<string, string> {
    const versions = new Map<string, string>();
    for (const [name, { accepted }] of this.#entries) if (accepted !== undefined) versions.set(name, accepted.version);
    return versions;
  }

  /** Replaces what is wanted; what nobody wants any more is forgotten. Returns what was added and taken away, "*" included. */
  want(wanted: ReadonlySet<string>): WantedChange {
    const add = [...wanted].filter((name) => !this.#wants(name));
    const drop = [...this.#names].filter((name) => !wanted.has(name));
    if (this.#wildcard && !wanted.has(WILDCARD)) drop.push(WILDCARD);
    return this.adjust(add, drop);
  }

  /** Adds and takes away single names, whatever else is wanted: the cost does not grow with it. */
  adjust(add: readonly string[], drop: readonly string[]): WantedChange {
    const added = add.filter((name) => !this.#wants(name));
    const dropped = drop.filter((name) => this.#wants(name));
    for (const name of added) this.#add(name);
    let widely = false;
    for (const name of dropped) {
      if (name === WILDCARD) this.#wildcard = false;
      else this.#names.delete(name);
      if (name === WILDCARD || this.#collections.delete(name)) widely = true;
    }
    for (const name of widely ? [...this.#entries.keys()] : dropped) this.#forgetUnwanted(name);
    this.#waiting.schedule();
    return { added, dropped };
  }

  /** A stream asks for these resources now: the time for an answer begins. */
  startAsking(): void {
    this.#asking = true;
    this.#quiet.clear(); // a new stream brings them
    for (const name of this.#names) {
      const entry = this.#entries.get(name);
      if (entry !== undefined && entry.rejected === undefined && !this.#isAnswered(name)) this.#waiting.add(name);
    }
    this.#waiting.schedule();
  }

  /** The stream is gone; nobody can answer. What is good for a time goes on ageing: that is what the time is for. */
  stopAsking(): void {
    this.#asking = false;
    this.#waiting.clear();
  }

  /** The client is done: nothing is called back any more. */
  close(): void {
    this.stopAsking();
    this.#expiries.clear();
  }

  /** Takes every valid resource of a response. Names that were not asked for are passed over in silence. */
  receive(list: readonly ReceivedResource[]): Receipt {
    const receipt = emptyReceipt();
    const names = list.map(({ name, message }) => {
      const written = name ?? (message && peekName(message.value));
      return written === undefined ? undefined : canonicalName(written);
    });
    const twice = duplicates(names);
    for (const [index, resource] of list.entries()) this.#receiveOne(resource, names[index], twice, index, receipt);
    this.#waiting.schedule();
    return receipt;
  }

  /**
   * A complete set has come: whatever is not in it does not exist. Names without any answer yet are left to their timeout,
   * since the set may be the answer to a request that did not have them.
   */
  removeAllBut(seen: ReadonlySet<string>): Removal {
    this.#expired.clear();
    this.#quiet.clear();
    return this.removeEach([...this.#entries.keys()].filter((name) => !seen.has(name) && !this.#waiting.has(name)));
  }

  /** The server says that there are no such resources. */
  removeEach(names: readonly string[]): Removal {
    const removal: Removal = { removed: [], absent: [] };
    for (const name of names) this.#remove(canonicalName(name), removal);
    this.#waiting.schedule();
    return removal;
  }

  /** Errors that the server states by name. Returns the names that it says do not exist; others keep what they have. */
  noteErrors(errors: readonly ResourceError[]): readonly string[] {
    for (const { name, status } of errors) {
      const entry = this.#entries.get(canonicalName(name));
      if (entry === undefined || status.code === NOT_FOUND) continue;
      this.#waiting.delete(canonicalName(name));
      entry.rejected = { version: "", reasons: [`the server has an error: ${status.message} (code ${status.code})`] };
      entry.updatedAtMs = this.#clock.wallNow();
    }
    return errors.filter(({ status }) => status.code === NOT_FOUND).map(({ name }) => name);
  }

  statuses(): ResourceStatus[] {
    return [...this.#entries].map(([name, own]) => {
      const entry = this.#entries.get(this.#aliases.realName(name) ?? name) ?? own;
      return {
        kind: this.type.kind,
        typeUrl: this.type.typeUrl,
        name,
        state: stateOf(entry),
        version: entry.accepted?.version ?? "",
        errors: entry.rejected?.reasons ?? [],
        rejectedVersion: entry.rejected?.version ?? "",
        unhonoured: entry.accepted?.unhonoured ?? [],
        updatedAtMs: entry.updatedAtMs,
      };
    });
  }

  #receiveOne(
    resource: ReceivedResource,
    name: string | undefined,
    twice: ReadonlySet<string>,
    index: number,
    receipt: Receipt,
  ): void {
    const { message, version = "" } = resource;
    if (name === undefined) {
      receipt.unnamed = true;
      receipt.errors.push(`resources[${index}]: it is no ${this.type.kind} with a name`);
      return;
    }
    const first = !receipt.seen.has(name);
    receipt.seen.add(name);
    const answered = resource.aliases.filter((alias) => alias !== name && this.#names.has(alias));
    for (const alias of answered) receipt.seen.add(alias);
    if (!this.#isWanted(name) && answered.length === 0) {
      receipt.passedOver = true;
      return;
    }
    if (message === undefined) {
      this.#receiveNoBody(resource, name, answered, receipt);
      return;
    }
    for (const alias of answered) this.#answer(alias, name);
    if (twice.has(name)) {
      if (first) this.#reject(name, version, ["the response has it twice"], receipt);
      return;
    }
    if (message.typeUrl !== this.type.typeUrl) {
      this.#reject(name, version, [`its type is ${message.typeUrl}, not ${this.type.typeUrl}`], receipt);
      return;
    }
    const entry = this.#entries.get(name);
    const digest = hash("sha256", message.value, "base64url");
    if (entry?.accepted !== undefined && entry.digest === digest) {
      entry.accepted = withAliases({ ...entry.accepted, version }, this.#aliases.aliasesOf(name));
      entry.rejected = undefined;
      this.#expiries.set(name, resource.ttlMs);
      receipt.refreshed.push(name, ...answered);
      return;
    }
    const decoded = this.#decode(message.value);
    if (!decoded.ok) {
      this.#reject(name, version, decoded.error, receipt);
      return;
    }
    const { config, unhonoured } = decoded.value;
    const ownName = this.type.nameOf(config);
    if (canonicalName(ownName) !== name && !traitsOf(this.type.typeUrl).namedByEnvelope) {
      this.#reject(name, version, [`it calls itself "${ownName}"`], receipt);
      return;
    }
    // A copy: the message lies in the response, which is as large as all of its resources.
    const bytes = KEPT_DECODED.has(this.type.kind) ? undefined : Uint8Array.from(message.value);
    const accepted = withAliases({ name, version, config, unhonoured, bytes }, this.#aliases.aliasesOf(name));
    this.#waiting.delete(name);
    this.#expired.delete(name);
    this.#quiet.delete(name);
    this.#expiries.set(name, resource.ttlMs);
    this.#entries.set(name, {
      accepted,
      digest,
      rejected: undefined,
      absent: false,
      updatedAtMs: this.#clock.wallNow(),
    });
    receipt.changed.set(name, accepted);
  }

  /** What throws, against the rule, is one refused resource, and no end of the stream that has good ones besides. */
  #decode(bytes: Uint8Array): Result<Decoded<unknown>, readonly string[]> {
    try {
      return this.type.decode(bytes);
    } catch (error) {
      return err([`it cannot be read: ${error instanceof Error ? error.message : String(error)}`]);
    }
  }

  /**
   * A heartbeat lets what is held live on. Where nothing is held and no time is given, the server says that there is no
   * such resource (VHDS answers so for a domain that no virtual host has).
   */
  #receiveNoBody(
    { version, ttlMs }: ReceivedResource,
    name: string,
    answered: readonly string[],
    receipt: Receipt,
  ): void {
    const accepted = this.#entries.get(name)?.accepted;
    if (accepted !== undefined) {
      if (version === undefined || version === accepted.version) this.#expiries.set(name, ttlMs);
      return;
    }
    if (ttlMs !== undefined) {
      // Once for each time that it expires: a server that never sends it again is not asked for ever.
      if (this.#quiet.delete(name)) receipt.missed = true;
      return;
    }
    const removal: Removal = { removed: [], absent: receipt.absent };
    for (const missing of [name, ...answered]) this.#remove(missing, removal);
  }

  #reject(name: string, version: string, reasons: readonly string[], receipt: Receipt): void {
    const entry = this.#entries.get(name) ?? newEntry();
    this.#entries.set(name, entry);
    this.#waiting.delete(name);
    entry.rejected = { version, reasons };
    entry.absent = false;
    entry.updatedAtMs = this.#clock.wallNow();
    for (const reason of reasons) receipt.errors.push(`${this.type.kind} "${name}": ${reason}`);
  }

  #remove(name: string, removal: Removal): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    const realName = this.#aliases.realName(name);
    const aliases = this.#aliases.aliasesOf(name);
    const held = entry.accepted !== undefined;
    const news = !entry.absent && !held;
    this.#drop(name);
    if (held) removal.removed.push(name);
    if (this.#names.has(name)) {
      this.#entries.set(name, { ...newEntry(), absent: true, updatedAtMs: this.#clock.wallNow() });
      if (news) removal.absent.push(name);
    }
    // Whatever this resource answered is not answered any more; and nobody may want what only answered this name.
    for (const alias of aliases) this.#remove(alias, removal);
    if (realName !== undefined && !this.#isWanted(realName)) this.#remove(realName, removal);
  }

  /** Forgets all about a name except whether it is wanted. */
  #drop(name: string): void {
    this.#entries.delete(name);
    this.#waiting.delete(name);
    this.#expiries.delete(name);
    this.#aliases.unlink(name);
  }

  #wants(name: string): boolean {
    return name === WILDCARD ? this.#wildcard : this.#names.has(name);
  }

  /** Whether a resource of that name is to be kept. */
  #isWanted(name: string): boolean {
    if (this.#wildcard || this.#names.has(name) || this.#aliases.has(name)) return true;
    if (this.#collections.size === 0) return false;
    const collection = collectionOf(name);
    return collection !== undefined && this.#collections.has(collection);
  }

  #isAnswered(name: string): boolean {
    if (this.#collections.has(name) || this.#aliases.realName(name) !== undefined) return true;
    const entry = this.#entries.get(name);
    return entry !== undefined && (entry.accepted !== undefined || entry.absent);
  }

  #add(name: string): void {
    if (name === WILDCARD) {
      this.#wildcard = true;
      return;
    }
    this.#names.add(name);
    if (isCollection(name)) this.#collections.add(name);
    else if (!this.#entries.has(name)) {
      this.#entries.set(name, newEntry());
      if (this.#asking) this.#waiting.add(name);
    }
  }

  /** A name that was asked for is answered by a resource of another name. */
  #answer(alias: string, realName: string): void {
    this.#aliases.link(alias, realName);
    this.#waiting.delete(alias);
    this.#entries.set(alias, { ...newEntry(), updatedAtMs: this.#clock.wallNow() });
  }

  #forgetUnwanted(name: string): void {
    if (this.#names.has(name)) return;
    const realName = this.#aliases.realName(name);
    const entry = this.#entries.get(name);
    const hasContent = entry?.accepted !== undefined || entry?.rejected !== undefined;
    if (!this.#isWanted(name) || !hasContent) {
      this.#expired.delete(name);
      this.#quiet.delete(name);
      this.#drop(name);
    }
    if (realName !== undefined && !this.#isWanted(realName)) this.#drop(realName);
  }

  #giveUp(late: readonly string[]): void {
    const { absent } = this.removeEach(late);
    if (absent.length > 0)
      this.#onTimeout({ kind: this.type.kind, changed: new Map(), removed: [], absent, timedOut: true });
  }

  #expire(names: readonly string[]): void {
    const { removed, absent } = this.removeEach(names);
    for (const name of removed) {
      this.#expired.add(name);
      this.#quiet.add(name);
    }
    this.#onTimeout({ kind: this.type.kind, changed: new Map(), removed, absent });
  }
}

function withAliases(resource: AcceptedResource, aliases: readonly string[]): AcceptedResource {
  return aliases.length === 0 ? resource : { ...resource, aliases };
}

function newEntry(): Entry {
  return { accepted: undefined, digest: "", rejected: undefined, absent: false, updatedAtMs: undefined };
}

function stateOf(entry: Entry): ResourceStatus["state"] {
  if (entry.rejected !== undefined) return "NACKED";
  if (entry.accepted !== undefined) return "SYNCED";
  return entry.absent ? "DOES_NOT_EXIST" : "REQUESTED";
}

function duplicates(names: readonly (string | undefined)[]): ReadonlySet<string> {
  const once = new Set<string>();
  const twice = new Set<string>();
  for (const name of names) {
    if (name === undefined) continue;
    if (once.has(name)) twice.add(name);
    once.add(name);
  }
  return twice;
}
