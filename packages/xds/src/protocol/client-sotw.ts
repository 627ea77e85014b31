import { type DeltaResource, decodeWrappedResource } from "@heddle/proto";
import { ClientResources, type WantedChange } from "./client-resources.ts";
import type { ClientType, MakeClientType, ReceiveOutcome } from "./client-type.ts";
import { nackMessage } from "./nack-message.ts";
import type { ReceivedResource } from "./receipt.ts";
import { WILDCARD } from "./subscription.ts";
import { WRAPPED_RESOURCE_TYPE_URL } from "./type-urls.ts";
import type { AnyMessage, DiscoveryRequest, DiscoveryResponse, Status } from "./wire.ts";

/** google.rpc.Code INVALID_ARGUMENT. */
const INVALID_ARGUMENT = 3;

export const sotwClient: MakeClientType<DiscoveryRequest, DiscoveryResponse> = (type, clock, onTimeout) =>
  new SotwClientType(new ClientResources(type, clock, onTimeout));

/** The state-of-the-world variant, client's side: one request says everything, the whole list of names each time. */
class SotwClientType implements ClientType<DiscoveryRequest, DiscoveryResponse> {
  readonly resources: ClientResources;
  /** Of the last response that was accepted whole. */
  #version = "";
  /** What is held is not what `#version` stood for: only parts of a response were taken, or something was dropped. */
  #mixed = false;
  #nonce = "";
  #error: Status | undefined;
  #due = false;
  #open = false;
  /** Whether anything was asked for on this stream, and whether by name: an empty list then means nothing. */
  #asked = false;
  #named = false;

  constructor(resources: ClientResources) {
    this.resources = resources;
  }

  openStream(otherServer: boolean): void {
    this.#open = true;
    if (otherServer) this.#mixed = true;
    this.#nonce = "";
    this.#error = undefined;
    this.#asked = false;
    this.#named = false;
    this.#due = this.resources.wantsAnything;
    this.resources.startAsking();
  }

  closeStream(): void {
    this.#open = false;
    this.resources.stopAsking();
  }

  subscribe(names: ReadonlySet<string>): void {
    this.#note(this.resources.want(names));
  }

  adjust(add: readonly string[], drop: readonly string[]): void {
    this.#note(this.resources.adjust(add, drop));
  }

  #note({ added, dropped }: WantedChange): void {
    if (added.length > 0 || dropped.length > 0) this.#due = true;
    if (dropped.length > 0) this.#mixed = true;
  }

  receive(response: DiscoveryResponse): ReceiveOutcome {
    const { resources } = this;
    const { versionInfo } = response;
    const received = response.resources.map((any) => this.#received(any, versionInfo));
    const receipt = resources.receive(received);
    // Heartbeats alone are no set, not even where sets are complete.
    const isSet = received.length === 0 || received.some(({ message }) => message !== undefined);
    const gone = resources.noteErrors(response.resourceErrors ?? []);
    const stated = resources.removeEach(gone.filter((name) => !receipt.seen.has(name)));
    // In a complete set absence is removal; among what merely changed it means nothing.
    const unsaid =
      resources.type.completeInSotw && isSet && !receipt.unnamed
        ? resources.removeAllBut(new Set([...receipt.seen, ...(response.resourceErrors ?? []).map(({ name }) => name)]))
        : { removed: [], absent: [] };
    this.#nonce = response.nonce;
    this.#due = true;
    const accepted = receipt.errors.length === 0;
    this.#error = accepted ? undefined : { code: INVALID_ARGUMENT, message: nackMessage(receipt.errors) };
    this.#mixed = !accepted || receipt.passedOver || (!isSet && this.#mixed);
    if (accepted) this.#version = versionInfo;
    const update = {
      kind: resources.type.kind,
      changed: receipt.changed,
      refreshed: receipt.refreshed,
      removed: [...stated.removed, ...unsaid.removed],
      absent: [...receipt.absent, ...stated.absent, ...unsaid.absent],
    };
    return { update, errors: receipt.errors, ...(receipt.missed && { missed: true }) };
  }

  takeRequest(): DiscoveryRequest | undefined {
    if (!this.#due || !this.#open) return undefined;
    const leavesOldForm = this.#asked && !this.#named && !this.resources.wantsAnything;
    this.#due = leavesOldForm;
    const first = !this.#asked;
    if (first && !this.resources.wantsAnything) return undefined;
    this.#asked = true;
    const errorDetail = this.#error;
    this.#error = undefined;
    return {
      typeUrl: this.resources.type.typeUrl,
      versionInfo: first && !this.#versionIsHeld() ? "" : this.#version,
      resourceNames: leavesOldForm ? this.#nameWildcard() : this.#list(),
      responseNonce: this.#nonce,
      errorDetail,
      node: undefined,
    };
  }

  /** As it came, or out of the envelope that gives it a time to live (xds_protocol.rst, "TTL"). */
  #received(any: AnyMessage, versionInfo: string): ReceivedResource {
    const bare = { name: undefined, aliases: [], version: versionInfo, message: any, ttlMs: undefined };
    if (any.typeUrl !== WRAPPED_RESOURCE_TYPE_URL) return bare;
    const wrapped = unwrap(any.value);
    if (wrapped === undefined) return { ...bare, message: { typeUrl: any.typeUrl, value: new Uint8Array() } };
    const { name, aliases, resource, ttlMs } = wrapped;
    // A heartbeat repeats the version of the last response, which stands for whatever each resource has.
    const version = resource === undefined && versionInfo === this.#version ? undefined : versionInfo;
    return { name: name === "" ? undefined : name, aliases, version, message: resource, ttlMs };
  }

  /**
   * On a new stream a server may leave unanswered a client that names the current version. So the version is named only
   * while it describes what is held: not after that has been mixed, not with a name still unanswered.
   */
  #versionIsHeld(): boolean {
    return !this.#mixed && this.resources.isAnswered;
  }

  /**
   * The old form of the wildcard, an empty list, is understood by every server, but means all only as long as the stream
   * has not named anything.
   */
  #list(): readonly string[] {
    const { wildcard, names, type } = this.resources;
    const list = wildcard ? [WILDCARD, ...names] : [...names];
    const oldForm = wildcard && names.size === 0 && type.completeInSotw && !this.#named;
    if (oldForm) return [];
    this.#named = true;
    return list;
  }

  /** An empty list after nothing but empty lists still means all. Once the wildcard was named, the next one means nothing. */
  #nameWildcard(): readonly string[] {
    this.#named = true;
    return [WILDCARD];
  }
}

/** Undefined when the bytes are no such message. */
function unwrap(bytes: Uint8Array): DeltaResource | undefined {
  try {
    return decodeWrappedResource(bytes);
  } catch {
    return undefined;
  }
}
