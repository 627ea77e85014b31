import { ClientResources, type WantedChange } from "./client-resources.ts";
import type { ClientType, MakeClientType, ReceiveOutcome } from "./client-type.ts";
import { nackMessage } from "./nack-message.ts";
import { WILDCARD } from "./subscription.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, Status } from "./wire.ts";

/** google.rpc.Code INVALID_ARGUMENT. */
const INVALID_ARGUMENT = 3;

const NONE: ReadonlyMap<string, string> = new Map();

export const deltaClient: MakeClientType<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = (type, clock, onTimeout) =>
  new DeltaClientType(new ClientResources(type, clock, onTimeout));

/** The delta variant, client's side: requests say what is added and taken away, and a nonce goes only with a verdict. */
class DeltaClientType implements ClientType<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  readonly resources: ClientResources;
  #open = false;
  #otherServer = false;
  /** Whether the stream has had this type's first request. */
  #asked = false;
  readonly #subscribe: Set<string> = new Set();
  readonly #unsubscribe: Set<string> = new Set();
  /** The response without verdict. */
  #verdict: { readonly nonce: string; readonly error: Status | undefined } | undefined;

  constructor(resources: ClientResources) {
    this.resources = resources;
  }

  openStream(otherServer: boolean): void {
    this.#open = true;
    this.#otherServer = otherServer;
    this.#asked = false;
    this.#verdict = undefined;
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

  receive(response: DeltaDiscoveryResponse): ReceiveOutcome {
    const { resources } = this;
    const receipt = resources.receive(
      response.resources.map(({ name, aliases, version, resource, ttlMs }) => {
        return { name, aliases, version, message: resource, ttlMs };
      }),
    );
    const notFound = resources.noteErrors(response.resourceErrors ?? []);
    const gone = [...response.removedResources, ...notFound].filter((name) => !receipt.seen.has(name));
    const { removed, absent } = resources.removeEach(gone);
    const { errors } = receipt;
    const error = errors.length === 0 ? undefined : { code: INVALID_ARGUMENT, message: nackMessage(errors) };
    this.#verdict = { nonce: response.nonce, error };
    const { changed, refreshed } = receipt;
    const update = { kind: resources.type.kind, changed, refreshed, removed, absent: [...receipt.absent, ...absent] };
    return { update, errors, ...(receipt.missed && { missed: true }) };
  }

  takeRequest(): DeltaDiscoveryRequest | undefined {
    if (!this.#open) return undefined;
    if (!this.#asked) return this.#firstRequest();
    const verdict = this.#verdict;
    if (verdict === undefined && this.#subscribe.size === 0 && this.#unsubscribe.size === 0) return undefined;
    const request = this.#request([...this.#subscribe], [...this.#unsubscribe], NONE);
    this.#subscribe.clear();
    this.#unsubscribe.clear();
    this.#verdict = undefined;
    return { ...request, responseNonce: verdict?.nonce ?? "", errorDetail: verdict?.error };
  }

  #note({ added, dropped }: WantedChange): void {
    if (!this.#asked) return;
    // The later of the two counts. A name that was dropped and comes back has to be asked for: what was held is forgotten.
    for (const name of dropped) {
      this.#subscribe.delete(name);
      this.#unsubscribe.add(name);
    }
    for (const name of added) {
      this.#unsubscribe.delete(name);
      this.#subscribe.add(name);
    }
  }

  /** Everything that is wanted, and the versions of everything that is held, so that only the difference comes. */
  #firstRequest(): DeltaDiscoveryRequest | undefined {
    const { wildcard, names, wantsAnything, type } = this.resources;
    if (!wantsAnything) return undefined;
    this.#asked = true;
    this.#subscribe.clear();
    this.#unsubscribe.clear();
    // Naming nothing is the form of the wildcard that every server understands.
    const oldForm = wildcard && names.size === 0 && type.completeInSotw;
    const list = wildcard && !oldForm ? [WILDCARD, ...names] : [...names];
    return this.#request(list, [], this.#initialVersions());
  }

  /** To a server that has not given them our versions say nothing, but their names let it tell what does not exist. */
  #initialVersions(): ReadonlyMap<string, string> {
    const held = this.resources.heldVersions();
    return this.#otherServer ? new Map(Array.from(held.keys(), (name) => [name, ""])) : held;
  }

  #request(
    resourceNamesSubscribe: readonly string[],
    resourceNamesUnsubscribe: readonly string[],
    initialResourceVersions: ReadonlyMap<string, string>,
  ): DeltaDiscoveryRequest {
    return {
      typeUrl: this.resources.type.typeUrl,
      resourceNamesSubscribe,
      resourceNamesUnsubscribe,
      initialResourceVersions,
      responseNonce: "",
      errorDetail: undefined,
      node: undefined,
    };
  }
}
