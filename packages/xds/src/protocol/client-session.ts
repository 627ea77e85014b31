import type { Clock } from "@heddle/base";
import type { ResourceKind } from "../resource/resource-type.ts";
import type { XdsNode } from "../snapshot.ts";
import type { ResourceUpdate } from "../subscription.ts";
import type { ClientResourceType, ResourceStatus } from "./client-resources.ts";
import { ClientSpelling } from "./client-spelling.ts";
import type { ClientType, MakeClientType, ReceiveOutcome } from "./client-type.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from "./wire.ts";

/**
 * All types of one client, over as many streams as it takes: no socket and no bytes. After each call the owner sends what
 * `takeRequests` gives.
 */
export class ClientSession<
  Request extends DiscoveryRequest | DeltaDiscoveryRequest,
  Response extends DiscoveryResponse | DeltaDiscoveryResponse,
> {
  readonly #node: XdsNode;
  readonly #types: Map<string, ClientType<Request, Response>> = new Map();
  readonly #byKind: Map<ResourceKind, ClientType<Request, Response>> = new Map();
  readonly #spellings: Map<ResourceKind, ClientSpelling> = new Map();
  /** Only the first request of a stream carries the node. */
  #introduced = false;

  constructor(
    node: XdsNode,
    types: readonly ClientResourceType[],
    make: MakeClientType<Request, Response>,
    clock: Clock,
    onTimeout: (update: ResourceUpdate) => void,
  ) {
    this.#node = node;
    for (const type of types) {
      const spelling = new ClientSpelling();
      const state = make(type, clock, (update) => onTimeout(spelling.translate(update)));
      this.#spellings.set(type.kind, spelling);
      this.#types.set(type.typeUrl, state);
      this.#byKind.set(type.kind, state);
    }
  }

  /** `otherServer`: not the one whose versions are held; they mean nothing to it. */
  openStream(otherServer = false): void {
    this.#introduced = false;
    for (const type of this.#types.values()) type.openStream(otherServer);
  }

  closeStream(): void {
    for (const type of this.#types.values()) type.closeStream();
  }

  /** The client is done: nothing is called back any more. */
  close(): void {
    for (const type of this.#types.values()) {
      type.closeStream();
      type.resources.close();
    }
  }

  /** Replaces what is wanted of that kind. A kind that the client was not made for is a mistake of its owner. */
  subscribe(kind: ResourceKind, names: ReadonlySet<string>): void {
    this.#type(kind).subscribe(this.#spelling(kind).replace(names));
  }

  /** Adds and takes away single names, at a cost that does not grow with what else is wanted. */
  adjust(kind: ResourceKind, add: readonly string[], drop: readonly string[]): void {
    const asked = this.#spelling(kind).adjust(add, drop);
    this.#type(kind).adjust(asked.add, asked.drop);
  }

  /** Undefined for a type that was never asked for. */
  receive(response: Response): ReceiveOutcome | undefined {
    const type = this.#types.get(response.typeUrl);
    if (type === undefined) return undefined;
    const outcome = type.receive(response);
    return { ...outcome, update: this.#spelling(type.resources.type.kind).translate(outcome.update) };
  }

  takeRequests(): Request[] {
    const requests: Request[] = [];
    for (const type of this.#types.values()) {
      for (let request = type.takeRequest(); request !== undefined; request = type.takeRequest()) {
        requests.push(this.#introduced ? request : { ...request, node: this.#node });
        this.#introduced = true;
      }
    }
    return requests;
  }

  get wantsAnything(): boolean {
    return [...this.#types.values()].some(({ resources }) => resources.wantsAnything);
  }

  statuses(): ResourceStatus[] {
    return [...this.#types.values()].flatMap(({ resources }) => resources.statuses());
  }

  #type(kind: ResourceKind): ClientType<Request, Response> {
    const type = this.#byKind.get(kind);
    if (type === undefined) throw new Error(`this client was made without the type of ${kind}`);
    return type;
  }

  #spelling(kind: ResourceKind): ClientSpelling {
    const spelling = this.#spellings.get(kind);
    if (spelling === undefined) throw new Error(`this client was made without the type of ${kind}`);
    return spelling;
  }
}
