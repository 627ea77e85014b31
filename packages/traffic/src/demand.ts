/** What a request needs and this proxy has not been told of: a virtual host (VHDS) or a cluster (ODCDS). */
export type Demand =
  /** `routes`: the key of the route configuration; `host`: as the request says it, in lower case. */
  | { readonly kind: "virtual-host"; readonly routes: string; readonly host: string }
  | { readonly kind: "cluster"; readonly name: string };

/** Equal demands have equal keys. */
export function demandKey(demand: Demand): string {
  return demand.kind === "cluster" ? `cluster/${demand.name}` : `virtual-host/${demand.routes}/${demand.host}`;
}
