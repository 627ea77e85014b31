import {
  type CaptureMode,
  capturedInboundCluster,
  capturedInboundListener,
  type InboundSecurity,
  inboundCluster,
  inboundListener,
  keysCluster,
  keyUris,
  outboundListener,
  providerCluster,
  samePolicies,
  type Workload,
} from "@heddle/mesh";
import type { EncodedResource } from "@heddle/xds";
import type { RawResource } from "../source/raw-resource.ts";
import type { Computed } from "./computed.ts";
import type { NodeScope } from "./node-scope.ts";
import type { ResourceEncoder } from "./resource-encoder.ts";
import { workloadShape } from "./workload-shape.ts";

/** What nodes get beside the services that they call: of their own workload, of their listeners, and what is raw. */
export class NodeResources {
  readonly #encoder: ResourceEncoder;
  readonly #computed: Computed;
  /** Of the sidecars of a workload with an identity, and of those without: as it was asked for the last time. */
  readonly #inbound = { secured: new WeakMap<Workload, MadeInbound>(), plain: new WeakMap<Workload, MadeInbound>() };
  /** What pods of one shape have in common. */
  readonly #byShape = new Map<string, WeakRef<Inbound>>();
  #sweptShapes = 0;
  readonly #raw = new WeakMap<RawResource, EncodedResource>();

  constructor(encoder: ResourceEncoder, computed: Computed) {
    this.#encoder = encoder;
    this.#computed = computed;
  }

  inbound({ workload, security }: Pick<NodeScope, "workload" | "security">): Inbound {
    if (workload === undefined) return NO_INBOUND;
    const made = this.#inbound[security.hasIdentity ? "secured" : "plain"];
    const before = made.get(workload);
    if (before !== undefined && samePolicies(before.security.policies, security.policies)) return before.inbound;
    const inbound = this.#inboundOfShape(workload, security);
    made.set(workload, { security, inbound });
    return inbound;
  }

  #inboundOfShape(workload: Workload, security: InboundSecurity): Inbound {
    if (workload.capture === undefined) return this.#makeInbound(workload, security);
    const shape = `${security.hasIdentity} ${workloadShape(workload, security.policies)}`;
    const known = this.#byShape.get(shape)?.deref();
    if (known !== undefined) return known;
    const inbound = this.#makeInbound(workload, security);
    this.#byShape.set(shape, new WeakRef(inbound));
    if (this.#byShape.size > 2 * this.#sweptShapes + 1000) {
      for (const [key, made] of this.#byShape) if (made.deref() === undefined) this.#byShape.delete(key);
      this.#sweptShapes = this.#byShape.size;
    }
    return inbound;
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

  #makeInbound(workload: Workload, security: InboundSecurity): Inbound {
    this.#computed.add("inbound");
    if (workload.capture !== undefined) return this.#makeCaptured(workload, security, workload.capture);
    const { listener, cluster } = this.#encoder.types;
    const listeners: EncodedResource[] = [];
    const clusters: EncodedResource[] = [];
    for (const port of workload.ports) {
      if (port.applicationPort === undefined) continue;
      const config = inboundListener(workload, port, security);
      if (config === undefined) continue;
      listeners.push(this.#encoder.encodeOnce(listener, config));
      clusters.push(this.#encoder.encodeOnce(cluster, inboundCluster(port, port.applicationPort)));
    }
    return { listeners, clusters: listeners.length > 0 ? [...clusters, ...this.#askedClusters(security)] : clusters };
  }

  #makeCaptured(workload: Workload, security: InboundSecurity, capture: CaptureMode): Inbound {
    const { listener, cluster } = this.#encoder.types;
    const ports = [...workload.ports, undefined];
    return {
      listeners: [this.#encoder.encodeOnce(listener, capturedInboundListener(workload, security, capture))],
      clusters: [
        ...ports.map((port) => this.#encoder.encodeOnce(cluster, capturedInboundCluster(port, capture))),
        ...this.#askedClusters(security),
      ],
    };
  }

  /** Of what policies are decided with that comes from elsewhere: keys of issuers, and words of providers. */
  #askedClusters({ policies: { request, providers = [] } }: InboundSecurity): readonly EncodedResource[] {
    const keys = keyUris(request).map(keysCluster);
    const asked = providers.flatMap((provider) =>
      provider.server.type === "host" ? [providerCluster(provider, provider.server)] : [],
    );
    return [...keys, ...asked].map((one) => this.#encoder.encodeOnce(this.#encoder.types.cluster, one));
  }
}

interface MadeInbound {
  readonly security: InboundSecurity;
  readonly inbound: Inbound;
}

export interface Inbound {
  readonly listeners: readonly EncodedResource[];
  readonly clusters: readonly EncodedResource[];
}

const NO_INBOUND: Inbound = { listeners: [], clusters: [] };
