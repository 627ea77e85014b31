import { hash } from "node:crypto";
import type { Clock, Result, Timer } from "@heddle/base";
import type { Decoded, ResourceKind } from "../resource/resource-type.ts";
import type { AcceptedResource, ResourceUpdate } from "../subscription.ts";
import { WILDCARD } from "./subscription.ts";
import type { AnyMessage, ResourceError } from "./wire.ts";
import { peekName } from "./wire-reader.ts";

/** How long a name may go unanswered before it is taken not to exist (xds_protocol.rst, "Knowing When a Requested Resource Does Not Exist"). */
export const EXISTENCE_TIMEOUT_MS = 15_000;

/** A reason list in a NACK is cut here: it travels in one message and ends in logs. */
const MAX_NACK_LENGTH = 16_384;

/** google.rpc.Code NOT_FOUND. */
const NOT_FOUND = 5;

/** What a client needs of a `ResourceType`, whatever its config type: `nameOf` is given only what `decode` gave. */
export interface ClientResourceType {
  readonly typeUrl: string;
  readonly kind: ResourceKind;
  readonly completeInSotw: boolean;
  decode(bytes: Uint8Array): Result<Decoded<unknown>, readonly string[]>;
  nameOf(config: unknown): string;
}

/** A resource as it came. */
export interface ReceivedResource {
  /** From the delta envelope; undefined where the message itself has to say. */
  readonly name: string | undefined;
  readonly version: string;
  readonly message: AnyMessage;
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

/** What a response brought. */
export interface Receipt {
  readonly changed: Map<string, AcceptedResource>;
  readonly refreshed: string[];
  /** Every name in it, taken or not. */
  readonly seen: Set<string>;
  /** Why resources in it were refused, each naming its resource. */
  readonly errors: string[];
  /** Something in it was not wanted. */
  passedOver: boolean;
  /** Something in it had no readable name, so that nobody can say what is missing from it. */
  unnamed: boolean;
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
 * stays until something better was accepted, it was removed, or nobody wants it any more.
 */
export class ClientResources {
  readonly type: ClientResourceType;
  readonly #clock: Clock;
  readonly #onTimeout: (update: ResourceUpdate) => void;
  readonly #entries: Map<string, Entry> = new Map();
  #names: ReadonlySet<string> = new Set();
  #wildcard = false;
  #asking = false;
  /** Names without an answer, with the time when they count as absent; the earliest is the first. */
  readonly #waiting: Map<string, number> = new Map();
  #timer: Timer | undefined;

  constructor(type: ClientResourceType, clock: Clock, onTimeout: (update: ResourceUpdate) => void) {
    this.type = type;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
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

  /** Whether every name that is wanted has been answered. */
  get isAnswered(): boolean {
    for (const name of this.#names) {
      const entry = this.#entries.get(name);
      if (entry === undefined || (entry.accepted === undefined && !entry.absent)) return false;
    }
    return true;
  }

  /** Name to version of everything that was accepted and is held. */
  heldVersions(): Map<string, string> {
    const versions = new Map<string, string>();
    for (const [name, { accepted }] of this.#entries) if (accepted !== undefined) versions.set(name, accepted.version);
    return versions;
  }

  /** Replaces what is wanted; what nobody wants any more is forgotten. Returns what was added and taken away, "*" included. */
  want(wanted: ReadonlySet<string>): { readonly added: readonly string[]; readonly dropped: readonly string[] } {
    const before = this.#names;
    const hadAll = this.#wildcard;
    const names = new Set(wanted);
    this.#wildcard = names.delete(WILDCARD);
    this.#names = names;
    const added = [...names].filter((name) => !before.has(name));
    const dropped = [...before].filter((name) => !names.has(name));
    for (const name of added) if (!this.#entries.has(name)) this.#expect(name);
    for (const name of hadAll && !this.#wildcard ? [...this.#entries.keys()] : dropped) this.#forgetUnwanted(name);
    if (this.#wildcard && !hadAll) added.push(WILDCARD);
    if (hadAll && !this.#wildcard) dropped.push(WILDCARD);
    this.#schedule();
    return { added, dropped };
  }

  /** A stream asks for these resources now: the time for an answer begins. */
  startAsking(): void {
    this.#asking = true;
    for (const [name, entry] of this.#entries) {
      if (entry.accepted === undefined && entry.rejected === undefined && !entry.absent) this.#await(name);
    }
    this.#schedule();
  }

  /** The stream is gone; nobody can answer. */
  stopAsking(): void {
    this.#asking = false;
    this.#waiting.clear();
    this.#schedule();
  }

  /** Takes every valid resource of a response. Names that were not asked for are passed over in silence. */
  receive(list: readonly ReceivedResource[]): Receipt {
    const receipt: Receipt = {
      changed: new Map(),
      refreshed: [],
      seen: new Set(),
      errors: [],
      passedOver: false,
      unnamed: false,
    };
    const names = list.map(({ name, message }) => name ?? peekName(message.value));
    const twice = duplicates(names);
    for (const [index, resource] of list.entries()) this.#receiveOne(resource, names[index], twice, index, receipt);
    this.#schedule();
    return receipt;
  }

  /** The server says that there is no such resource. True when one was held. */
  remove(name: string): { readonly removed: boolean; readonly absent: boolean } {
    const entry = this.#entries.get(name);
    if (entry === undefined) return { removed: false, absent: false };
    const held = entry.accepted !== undefined;
    this.#waiting.delete(name);
    if (!this.#names.has(name)) {
      this.#entries.delete(name);
      return { removed: held, absent: false };
    }
    const news = held || !entry.absent;
    entry.accepted = undefined;
    entry.rejected = undefined;
    entry.digest = "";
    entry.absent = true;
    entry.updatedAtMs = this.#clock.wallNow();
    return { removed: held, absent: news && !held };
  }

  /**
   * A complete set has come: whatever is not in it does not exist. Names without any answer yet are left to their timeout,
   * since the set may be the answer to a request that did not have them.
   */
  removeAllBut(seen: ReadonlySet<string>): { readonly removed: string[]; readonly absent: string[] } {
    return this.removeEach([...this.#entries.keys()].filter((name) => !seen.has(name) && !this.#waiting.has(name)));
  }

  removeEach(names: readonly string[]): { readonly removed: string[]; readonly absent: string[] } {
    const removed: string[] = [];
    const absent: string[] = [];
    for (const name of names) {
      const outcome = this.remove(name);
      if (outcome.removed) removed.push(name);
      if (outcome.absent) absent.push(name);
    }
    this.#schedule();
    return { removed, absent };
  }

  /** Errors that the server states by name. Returns the names that it says do not exist; others keep what they have. */
  noteErrors(errors: readonly ResourceError[]): readonly string[] {
    for (const { name, status } of errors) {
      const entry = this.#entries.get(name);
      if (entry === undefined || status.code === NOT_FOUND) continue;
      this.#waiting.delete(name);
      entry.rejected = { version: "", reasons: [`the server has an error: ${status.message} (code ${status.code})`] };
      entry.updatedAtMs = this.#clock.wallNow();
    }
    return errors.filter(({ status }) => status.code === NOT_FOUND).map(({ name }) => name);
  }

  statuses(): ResourceStatus[] {
    return [...this.#entries].map(([name, entry]) => ({
      kind: this.type.kind,
      typeUrl: this.type.typeUrl,
      name,
      state: stateOf(entry),
      version: entry.accepted?.version ?? "",
      errors: entry.rejected?.reasons ?? [],
      rejectedVersion: entry.rejected?.version ?? "",
      unhonoured: entry.accepted?.unhonoured ?? [],
      updatedAtMs: entry.updatedAtMs,
    }));
  }

  #receiveOne(
    { message, version }: ReceivedResource,
    name: string | undefined,
    twice: ReadonlySet<string>,
    index: number,
    receipt: Receipt,
  ): void {
    if (name === undefined) {
      receipt.unnamed = true;
      receipt.errors.push(`resources[${index}]: it is no ${this.type.kind} with a name`);
      return;
    }
    const first = !receipt.seen.has(name);
    receipt.seen.add(name);
    if (!this.#wildcard && !this.#names.has(name)) {
      receipt.passedOver = true;
      return;
    }
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
      entry.accepted = { ...entry.accepted, version };
      entry.rejected = undefined;
      receipt.refreshed.push(name);
      return;
    }
    const decoded = this.type.decode(message.value);
    if (!decoded.ok) {
      this.#reject(name, version, decoded.error, receipt);
      return;
    }
    const { config, unhonoured } = decoded.value;
    const ownName = this.type.nameOf(config);
    if (ownName !== name) {
      this.#reject(name, version, [`it calls itself "${ownName}"`], receipt);
      return;
    }
    const accepted: AcceptedResource = { name, version, config, unhonoured };
    this.#waiting.delete(name);
    this.#entries.set(name, {
      accepted,
      digest,
      rejected: undefined,
      absent: false,
      updatedAtMs: this.#clock.wallNow(),
    });
    receipt.changed.set(name, accepted);
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

  #expect(name: string): void {
    this.#entries.set(name, newEntry());
    if (this.#asking) this.#await(name);
  }

  #await(name: string): void {
    this.#waiting.set(name, this.#clock.now() + EXISTENCE_TIMEOUT_MS);
  }

  #forgetUnwanted(name: string): void {
    const entry = this.#entries.get(name);
    if (this.#names.has(name)) return;
    if (this.#wildcard && (entry?.accepted !== undefined || entry?.rejected !== undefined)) return;
    this.#entries.delete(name);
    this.#waiting.delete(name);
  }

  /** Keeps one timer, for the earliest name. */
  #schedule(): void {
    const [earliest] = this.#waiting.values();
    if (earliest === undefined) {
      this.#timer?.cancel();
      this.#timer = undefined;
    } else if (this.#timer === undefined) {
      this.#timer = this.#clock.after(Math.max(0, earliest - this.#clock.now()), () => this.#expire(), true);
    }
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    const late: string[] = [];
    for (const [name, atMs] of this.#waiting) {
      if (atMs > nowMs) break;
      late.push(name);
    }
    const { absent } = this.removeEach(late);
    if (absent.length > 0) this.#onTimeout({ kind: this.type.kind, changed: new Map(), removed: [], absent });
  }
}

/** The text of a NACK: every reason on a line of its own. */
export function nackMessage(errors: readonly string[]): string {
  let message = "";
  for (const [index, error] of errors.entries()) {
    if (message.length + error.length > MAX_NACK_LENGTH) {
      return `${message}${message === "" ? error.slice(0, MAX_NACK_LENGTH) : ""}\nand ${errors.length - index} more`;
    }
    message += index === 0 ? error : `\n${error}`;
  }
  return message;
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
