import type { Clock } from "@heddle/base";
import type { ResourceKind } from "../resource/resource-type.ts";
import type { XdsNode } from "../snapshot.ts";
import type { ResourceUpdate } from "../subscription.ts";
import type { ClientResourceType, ResourceStatus } from "./client-resources.ts";
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
      const state = make(type, clock, onTimeout);
      this.#types.set(type.typeUrl, state);
      this.#byKind.set(type.kind, state);
    }
  }

  openStream(): void {
    this.#introduced = false;
    for (const type of this.#types.values()) type.openStream();
  }

  closeStream(): void {
    for (const type of this.#types.values()) type.closeStream();
  }

  /** Replaces what is wanted of that kind. A kind that the client was not made for is a mistake of its owner. */
  subscribe(kind: ResourceKind, names: ReadonlySet<string>): void {
    const type = this.#byKind.get(kind);
    if (type === undefined) throw new Error(`this client was made without the type of ${kind}`);
    type.subscribe(names);
  }

  /** Undefined for a type that was never asked for. */
  receive(response: Response): ReceiveOutcome | undefined {
    return this.#types.get(response.typeUrl)?.receive(response);
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
}
