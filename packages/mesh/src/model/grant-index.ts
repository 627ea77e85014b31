import type { ReferenceGrant } from "./reference-grant.ts";
import { backendRefsOf, isHttpRoute, type Route } from "./route.ts";
import type { BackendRef } from "./route-ends.ts";

/** Which references from one namespace to another are allowed. */
export class GrantIndex {
  readonly #byNamespace: ReadonlyMap<string, readonly ReferenceGrant[]>;

  constructor(grants: readonly ReferenceGrant[]) {
    this.#byNamespace = Map.groupBy(grants, ({ namespace }) => namespace);
  }

  /** The route with its ungranted backends marked; the same object for the same ones of a route. */
  marked(route: Route): Route {
    const isUngranted = (backend: BackendRef): boolean => !this.#allows(route, backend);
    const refs = backendRefsOf(route);
    if (!refs.some(isUngranted)) return route;
    const key = refs.map((backend) => (isUngranted(backend) ? "1" : "0")).join("");
    const known = made.get(route);
    if (known?.key === key) return known.route;
    const mark = <Ref extends BackendRef>(backend: Ref): Ref =>
      isUngranted(backend) ? { ...backend, isUngranted: true } : backend;
    const marked: Route = isHttpRoute(route)
      ? { ...route, rules: route.rules.map((rule) => ({ ...rule, backends: rule.backends.map(mark) })) }
      : { ...route, backends: route.backends.map(mark) };
    made.set(route, { key, route: marked });
    return marked;
  }

  #allows({ kind, namespace }: Route, backend: BackendRef): boolean {
    if (backend.namespace === namespace) return true;
    return (this.#byNamespace.get(backend.namespace) ?? []).some(
      ({ from, to }) =>
        from.some((one) => one.kind === kind && one.namespace === namespace) &&
        (to === "all" || to.includes(backend.name)),
    );
  }
}

/** What was made of a route the last time: whoever derives something from it sees by identity what changed. */
const made = new WeakMap<Route, { readonly key: string; readonly route: Route }>();
