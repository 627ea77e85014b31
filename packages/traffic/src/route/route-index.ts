import { asBytes } from "../match/bytes.ts";
import { PrefixTree } from "./prefix-tree.ts";
import type { RouteMatch } from "./route-config.ts";
import type { RequestToMatch, RouteMatcher } from "./route-matcher.ts";

/** A route as the index sees it. */
export interface Indexed {
  readonly matcher: RouteMatcher;
}

/**
 * The routes of one virtual host, of which the first that matches wins. Exact paths and prefixes are looked up; only
 * what cannot be (regular expressions, any-case paths, CONNECT) is tried one by one. The three sources give candidates
 * in the order of configuration and are merged by it, so the answer is that of a scan through the whole list.
 */
export class RouteIndex<Route extends Indexed> {
  readonly #routes: readonly Route[];
  readonly #exact = new Map<string, number[]>();
  readonly #prefixes = new PrefixTree();
  readonly #others: number[] = [];

  constructor(routes: readonly Route[], matches: readonly RouteMatch[]) {
    this.#routes = routes;
    for (const [number, match] of matches.entries()) this.#add(match, number);
    this.#prefixes.seal();
  }

  find(request: RequestToMatch, random: number): Route | undefined {
    // Looking a path up begins with hashing it.
    const exact = this.#exact.size === 0 ? NONE : (this.#exact.get(request.path) ?? NONE);
    const prefixes = this.#prefixes.find(request.path);
    const others = this.#others;
    if (exact.length === 0 && others.length === 0) return this.#firstOf(prefixes, request, random);
    let e = 0;
    let p = 0;
    let o = 0;
    for (;;) {
      const nextExact = e < exact.length ? exact[e]! : Infinity;
      const nextPrefix = p < prefixes.length ? prefixes[p]! : Infinity;
      const nextOther = o < others.length ? others[o]! : Infinity;
      const number = Math.min(nextExact, nextPrefix, nextOther);
      if (number === Infinity) return undefined;
      if (number === nextExact) e++;
      else if (number === nextPrefix) p++;
      else o++;
      const route = this.#routes[number]!; // numbers are places in the list
      if (route.matcher.matches(request, random)) return route;
    }
  }

  /** Of prefixes that the tree has found. */
  #firstOf(prefixes: readonly number[], request: RequestToMatch, random: number): Route | undefined {
    for (let i = 0; i < prefixes.length; i++) {
      const route = this.#routes[prefixes[i]!]!; // numbers are places in the list
      if (route.matcher.matches(request, random, true)) return route;
    }
    return undefined;
  }

  #add(match: RouteMatch, number: number): void {
    const { path } = match;
    if (!match.caseSensitive || path.type === "safe-regex" || path.type === "connect") {
      this.#others.push(number);
      return;
    }
    const value = asBytes(path.value);
    if (path.type !== "path") {
      this.#prefixes.add(value, number);
      return;
    }
    const same = this.#exact.get(value);
    if (same === undefined) this.#exact.set(value, [number]);
    else same.push(number);
  }
}

const NONE: readonly number[] = [];
