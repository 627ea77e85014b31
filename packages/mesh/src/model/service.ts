import type { Origin } from "./origin.ts";

export type Labels = Readonly<Record<string, string>>;

export type IpFamily = "IPv4" | "IPv6";

/** What is spoken on a port. `http2` is HTTP/2 without TLS (h2c, gRPC); `tcp` is anything else, TLS included. */
export type AppProtocol = "http" | "http2" | "tcp";

/** A name that callers use, and the workloads behind it: a Kubernetes Service, decoded. */
export interface Service {
  readonly kind: "service";
  readonly namespace: string;
  readonly name: string;
  /** Workloads of the same namespace with all of these labels; undefined selects none. */
  readonly selector: Labels | undefined;
  readonly ports: readonly ServicePort[];
  /** Its virtual addresses, the first family's first (`clusterIPs`). None: headless, an ExternalName, or from a file without one. */
  readonly clusterIps: readonly string[];
  /** `clusterIP: None`: its name stands for the addresses of its endpoints. */
  readonly headless: boolean;
  /** In their order of preference; empty where nobody has said. */
  readonly ipFamilies: readonly IpFamily[];
  /** Its name stands for this DNS name, outside of the mesh, and it has no endpoints (`type: ExternalName`). */
  readonly externalName: string | undefined;
  /** Whom a caller prefers: endpoints of its zone, or first those of its node. Left out: all alike (`trafficDistribution`). */
  readonly prefers?: "same-zone" | "same-node";
  /** A caller has endpoints of its own node alone (`internalTrafficPolicy: Local`). */
  readonly isNodeLocal?: true;
  readonly origin: Origin;
}

export interface ServicePort {
  /** "" where it has none, which only a single port may. */
  readonly name: string;
  readonly port: number;
  readonly protocol: AppProtocol;
  /** Nobody has said what is spoken: neither `appProtocol` nor the name tells. Where first bytes are seen they decide, elsewhere `protocol`. */
  readonly detect: boolean;
  readonly target: TargetPort;
}

export interface ServicePortPair {
  readonly service: Service;
  readonly port: ServicePort;
}

/** Which port of a workload is meant. `unset`: the one of the same name, else of the same number, else the only one. */
export type TargetPort =
  | { readonly type: "unset" }
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "number"; readonly number: number };
