import { inboundCluster, inboundListener, outboundListener, type Workload } from "@heddle/mesh";
import type { EncodedResource } from "@heddle/xds";
import type { RawResource } from "../source/raw-resource.ts";
import type { Computed } from "./computed.ts";
import type { NodeScope } from "./node-scope.ts";
import type { ResourceEncoder } from "./resource-encoder.ts";

/** What nodes get beside the services that they call: of their own workload, of their listeners, and what is raw. */
export class NodeResources {
  readonly #encoder: ResourceEncoder;
  readonly #computed: Computed;
  readonly #inbound = new WeakMap<Workload, Inbound>();
  readonly #raw = new WeakMap<RawResource, EncodedResource>();

  constructor(encoder: ResourceEncoder, computed: Computed) {
    this.#encoder = encoder;
    this.#computed = computed;
  }

  inbound(workload: Workload | undefined): Inbound {
    if (workload === undefined) return NO_INBOUND;
    let made = this.#inbound.get(workload);
    if (made === undefined) this.#inbound.set(workload, (made = this.#makeInbound(workload)));
    return made;
  }

  outboundListeners({ outbound, dialledNames }: NodeScope): readonly EncodedResource[] {
    const dialled = dialledNames.map((name) => this.#encoder.dialledListener(name));
    if (outbound === undefined) return dialled;
    return [...dialled, this.#encoder.encodeOnce(this.#encoder.types.listener, outboundListener(outbound))];
  }

  raw(resource: RawResource): EncodedResource {
    let made = this.#raw.get(resource);
    if (made === undefined) {
      this.#computed.add("raw");
      const { typeUrl, name, bytes, references, wrapping } = resource;
      made = this.#encoder.fromBytes(typeUrl, name, bytes, references, wrapping);
      this.#raw.set(resource, made);
    }
    return made;
  }

  #makeInbound(workload: Workload): Inbound {
    this.#computed.add("inbound");
    const { listener, cluster } = this.#encoder.types;
    const listeners: EncodedResource[] = [];
    const clusters: EncodedResource[] = [];
    for (const port of workload.ports) {
      if (port.applicationPort === undefined || port.protocol === "tcp") continue;
      listeners.push(this.#encoder.encodeOnce(listener, inboundListener(workload, port)));
      clusters.push(this.#encoder.encodeOnce(cluster, inboundCluster(port, port.applicationPort)));
    }
    return { listeners, clusters };
  }
}

export interface Inbound {
  readonly listeners: readonly EncodedResource[];
  readonly clusters: readonly EncodedResource[];
}

const NO_INBOUND: Inbound = { listeners: [], clusters: [] };
