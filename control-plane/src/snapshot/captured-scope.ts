import {
  blackholeCluster,
  type CapturedReach,
  type CapturedRules,
  capturedReach,
  capturedRouteConfiguration,
  carriageOf,
  dnsTcpListener,
  type Mesh,
  namedPortListener,
  outboundPortName,
  passthroughCluster,
  type ScopeRules,
  type Service,
  type ServicePortPair,
  serverNameChains,
  virtualOutboundListener,
} from "@heddle/mesh";
import { type EncodedResource, joinRouteConfiguration } from "@heddle/xds";
import type { Computed } from "./computed.ts";
import { DnsTable } from "./dns-table.ts";
import { type MeshParts, serviceKey } from "./mesh-parts.ts";
import { PodPlaces } from "./pod-places.ts";
import type { ResourceEncoder } from "./resource-encoder.ts";
import { NO_RESOURCES, type Resources, resourceMap, sameList } from "./resource-map.ts";

/** What a captured scope is made of, anew for each world; equal content is the same object. */
export interface CapturedResources {
  readonly clusters: readonly EncodedResource[];
  readonly endpoints: readonly EncodedResource[];
  /** What these are the endpoints of. */
  readonly served: readonly ServicePortPair[];
  readonly routes: readonly EncodedResource[];
  /** Services that routes lead to, whether they exist or not. */
  readonly behind: ReadonlySet<string>;
}

/** What captured nodes with the same rules get of the services: see `captured-listeners.ts` of packages/mesh. */
export class CapturedScope {
  readonly #rules: ScopeRules & { readonly captured: CapturedRules };
  readonly #secured: boolean;
  readonly #encoder: ResourceEncoder;
  readonly #computed: Computed;
  /** By port: what was made of which virtual hosts. */
  #routes: ReadonlyMap<number, PortRoutes> = new Map();
  #listeners: Resources = NO_RESOURCES;
  #dns: DnsTable | undefined;

  constructor(
    rules: ScopeRules & { readonly captured: CapturedRules },
    secured: boolean,
    encoder: ResourceEncoder,
    computed: Computed,
  ) {
    this.#rules = rules;
    this.#secured = secured;
    this.#encoder = encoder;
    this.#computed = computed;
  }

  get listeners(): Resources {
    return this.#listeners;
  }

  rebuild(mesh: Mesh, parts: MeshParts): CapturedResources {
    const { namespace, captured } = this.#rules;
    const { named, routed, httpPorts, byServerName, listened, headless, served, behind } = capturedReach(
      mesh,
      this.#rules,
    );
    const routes = new Map<number, PortRoutes>();
    for (const [port, reached] of [...routed].sort(([a], [b]) => a - b)) {
      const hosts = reached.map(({ service, port: one }) => parts.of(service).capturedVirtualHost(one, namespace));
      const known = this.#routes.get(port);
      routes.set(port, known !== undefined && sameList(known.hosts, hosts) ? known : this.#routesOf(port, hosts));
    }
    this.#routes = routes;
    const { listener, cluster } = this.#encoder.types;
    // Else there is nothing to do for them that passing on would not.
    const places = new PodPlaces();
    const claiming = bytesFirst(headless);
    const pods = (this.#secured ? claiming : []).flatMap(
      ({ service, port }) => parts.of(service).podsOf(port, captured, places) ?? [],
    );
    const plaintextPods = (captured.unknown === "blackhole" ? claiming : []).flatMap(
      ({ service, port }) => parts.of(service).plaintextPodsOf(port, captured, places, this.#secured) ?? [],
    );
    this.#listeners = resourceMap(this.#listeners, [
      this.#encoder.encodeOnce(listener, virtualOutboundListener(captured)),
      ...this.#portListeners(new Set(httpPorts.filter((port) => routes.has(port))), byServerName),
      ...listened.map(({ service, port }) => parts.of(service).capturedListener(port, captured, namespace)),
      ...pods.map(({ listener: made }) => made),
      ...plaintextPods,
      this.#dnsListener(mesh, named, parts),
      // An Envoy answers names over UDP alone.
      ...(captured.isEnvoy ? [] : [this.#encoder.encodeOnce(listener, dnsTcpListener(captured))]),
    ]);
    return {
      clusters: [
        this.#encoder.encodeOnce(cluster, passthroughCluster()),
        this.#encoder.encodeOnce(cluster, blackholeCluster()),
        ...served.map(({ service, port }) => parts.of(service).cluster(port, this.#secured)),
        ...pods.map(({ cluster: made }) => made),
      ],
      served,
      endpoints: served.map(({ service, port }) => parts.of(service).endpoints(port)),
      routes: [...routes.values()].map(({ resource }) => resource),
      behind: new Set(behind.map(serviceKey)),
    };
  }

  #portListeners(http: ReadonlySet<number>, byServerName: CapturedReach["byServerName"]): readonly EncodedResource[] {
    const { namespace, captured } = this.#rules;
    const ports = [...new Set([...http, ...byServerName.keys()])].sort((a, b) => a - b);
    return ports.map((port) => {
      const named = serverNameChains(byServerName.get(port) ?? [], namespace);
      const config = namedPortListener(port, captured, named, http.has(port));
      return this.#encoder.encodeOnce(this.#encoder.types.listener, config);
    });
  }

  /** Without an egress list the same for all of the namespace. */
  #dnsListener(mesh: Mesh, named: readonly Service[], parts: MeshParts): EncodedResource {
    const { namespace, captured, egress } = this.#rules;
    if (egress === undefined) return parts.dnsListener(mesh, namespace, captured);
    this.#dns ??= new DnsTable({ encoder: this.#encoder, computed: this.#computed }, namespace, captured);
    return this.#dns.of(mesh, named);
  }

  #routesOf(port: number, hosts: readonly Uint8Array[]): PortRoutes {
    this.#computed.add("route-configuration");
    const type = this.#encoder.types["route-configuration"];
    const unknown = type.encode(capturedRouteConfiguration(port, [], this.#rules.captured.unknown));
    const bytes = joinRouteConfiguration(unknown, hosts);
    return { hosts, resource: this.#encoder.fromBytes(type.typeUrl, outboundPortName(port), bytes) };
  }
}

/** Of several ports at one address of a pod the one that is said to be bytes has it, since as bytes everything is carried; else the first. */
function bytesFirst(ports: readonly ServicePortPair[]): readonly ServicePortPair[] {
  const isBytes = ({ port }: ServicePortPair): boolean => carriageOf(port) === "tcp";
  return [...ports.filter(isBytes), ...ports.filter((pair) => !isBytes(pair))];
}

interface PortRoutes {
  readonly hosts: readonly Uint8Array[];
  readonly resource: EncodedResource;
}
