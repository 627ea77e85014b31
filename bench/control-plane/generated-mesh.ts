import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How large the mesh is, and what its workloads call. */
export interface MeshSize {
  readonly services: number;
  /** Of each service: that many workloads with one address each. */
  readonly endpoints: number;
  /** "scoped": a workload calls `CALLED` services of its own choice and the one that all call. "all": every service. */
  readonly egress: "scoped" | "all";
}

/** Beside the service that all call. */
const CALLED = 9;

/** Called by every workload, as a service of sign-in or of configuration is. */
export const COMMON_SERVICE = serviceName(0);

/**
 * A mesh as files, one for each service: the Service, its Workloads and an HTTPRoute. One file is written anew to change
 * one endpoint or one route.
 */
export class GeneratedMesh {
  readonly folder: string;
  readonly #size: MeshSize;
  readonly #changes = new Map<string, number>();

  constructor(folder: string, size: MeshSize) {
    this.folder = folder;
    this.#size = size;
    mkdirSync(folder, { recursive: true });
    for (let index = 0; index < size.services; index += 1) writeFileSync(this.#file(index), this.#text(index));
  }

  /** The node that is instance `index` of the mesh: each service has one before any has two. */
  node(index: number): { readonly id: string; readonly cluster: string } {
    const { services } = this.#size;
    const workload = `${serviceName(index % services)}-${Math.floor(index / services)}`;
    return { id: `default/${workload}/0`, cluster: workload };
  }

  /** Another address for the last workload of a service, or another weight in its route. Returns the name of what changes. */
  change(what: "endpoint" | "route", service: number): string {
    const key = `${what} ${service}`;
    this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1);
    const file = this.#file(service);
    // Whole or not at all, as a careful writer does it.
    writeFileSync(`${file}.new`, this.#text(service));
    renameSync(`${file}.new`, file);
    return what === "route" ? "outbound" : clusterName(service);
  }

  #file(service: number): string {
    return join(this.folder, `${serviceName(service)}.yaml`);
  }

  #text(service: number): string {
    const name = serviceName(service);
    const { endpoints } = this.#size;
    const documents: object[] = [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name },
        spec: { selector: { app: name }, ports: [{ name: "http", port: 80 }] },
      },
      this.#route(service),
    ];
    for (let index = 0; index < endpoints; index += 1) {
      const changed = index === endpoints - 1 ? (this.#changes.get(`endpoint ${service}`) ?? 0) : 0;
      documents.push({
        apiVersion: "heddle.dev/v1",
        kind: "Workload",
        metadata: { name: `${name}-${index}`, labels: { app: name } },
        spec: {
          addresses: [`10.${changed % 200}.${service >> 5}.${(service & 31) * 8 + (index % 8)}`],
          ports: [{ name: "http", port: 8000 + index, applicationPort: 9000 }],
          egress: this.#egress(service),
        },
      });
    }
    return documents.map((document) => JSON.stringify(document)).join("\n---\n");
  }

  #route(service: number): object {
    const name = serviceName(service);
    const weight = 1 + ((this.#changes.get(`route ${service}`) ?? 0) % 1000);
    return {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name },
      spec: {
        parentRefs: [{ group: "", kind: "Service", name }],
        rules: [
          { matches: [{ path: { type: "PathPrefix", value: "/api" } }], backendRefs: [{ name, port: 80, weight }] },
          { backendRefs: [{ name, port: 80 }], timeouts: { request: `${weight}s` } },
        ],
      },
    };
  }

  #egress(service: number): readonly string[] {
    const { services, egress } = this.#size;
    if (egress === "all") return ["*"];
    const called = new Set([COMMON_SERVICE]);
    // Spread over the mesh, so that each service has about as many callers as it calls itself.
    for (let step = 1; called.size <= Math.min(CALLED, services - 1); step += 1)
      called.add(serviceName((service + step * 101) % services));
    return [...called];
  }
}

export function clusterName(service: number): string {
  return `outbound/80/${serviceName(service)}.default`;
}

function serviceName(index: number): string {
  return `service-${String(index).padStart(4, "0")}`;
}
