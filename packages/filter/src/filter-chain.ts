import type { Failure, Json } from "@heddle/base";
import type { HeaderMap } from "@heddle/http";
import type { HttpFilter, HttpFilterFactory, HttpFilterType } from "./http-filter.ts";
import { codeOf } from "./running-code.ts";

/**
 * What stands at the end of a chain: it takes the request as the filters leave it and gives the response. The router is
 * one. It is made when a request's head has passed all filters.
 */
export interface TerminalFilter {
  onRequestHead(endStream: boolean): void;
  /** False: no more until the exchange is told `terminalDrained`. */
  onRequestData(chunk: Uint8Array, endStream: boolean): boolean;
  onRequestTrailers(trailers: HeaderMap): void;
  /** Stops and restarts what it hands to `respondData`. Calls do not nest. */
  pauseResponse(): void;
  resumeResponse(): void;
  /** The exchange has ended, or goes on with another response. Lets go of everything and calls nothing back. */
  cancel(failure: Failure): void;
}

/** One filter of a chain, as configured. */
export interface ChainPlace {
  /** The filter's name in the chain; per-route configuration is found by it. */
  readonly name: string;
  readonly factory: HttpFilterFactory;
  /** Takes part only where a route's configuration says so. */
  readonly disabled: boolean;
  /** Reads what a route has for this filter. */
  readonly type: Pick<HttpFilterType, "parseRoute">;
}

/** Per-route configuration, as `SelectedRoute` of traffic gives it. */
export interface FilterOverrides {
  filterOverride(name: string): FilterOverride | undefined;
  /** Those of every level, the least specific first. Left out: there is one. */
  filterOverrides?(name: string): readonly FilterOverride[];
}

interface FilterOverride {
  readonly disabled: boolean;
  readonly config: { readonly config: Json } | undefined;
}

/** The filters of one connection manager, made when configuration changes and shared by all its exchanges. */
export class FilterChain {
  readonly places: readonly ChainPlace[];
  readonly terminal: HttpFilterFactory;
  /** Soft limit for what one filter holds back in one direction. */
  readonly bufferLimitBytes: number;
  readonly #codes: readonly number[];
  readonly #routeConfigs = new WeakMap<object, unknown>();

  constructor(places: readonly ChainPlace[], terminal: HttpFilterFactory, bufferLimitBytes: number) {
    if (!("createTerminal" in terminal)) throw new TypeError("the last filter of a chain must be a terminal one");
    this.places = places;
    this.#codes = places.map(({ name }) => codeOf(name));
    this.terminal = terminal;
    this.bufferLimitBytes = bufferLimitBytes;
  }

  /** The filters of one exchange. Which of them take part is decided once, by the route that the request has at first. */
  instantiate(route: FilterOverrides | undefined): readonly ActiveFilter[] {
    if (this.places.length === 0) return NONE;
    const active: ActiveFilter[] = [];
    for (let i = 0; i < this.places.length; i++) {
      const place = this.places[i]!; // i is below the length
      const disabled = route?.filterOverride(place.name)?.disabled ?? place.disabled;
      if (!disabled) active.push({ place, filter: place.factory.create(), code: this.#codes[i]! });
    }
    return active;
  }

  /** The parsed configuration that a route has for a filter. Parsed once for each piece of configuration. */
  routeConfig(filterName: string, route: FilterOverrides | undefined): unknown {
    return this.#parsed(filterName, route?.filterOverride(filterName)?.config);
  }

  /** The same of every level that has one, the least specific first. */
  routeConfigs(filterName: string, route: FilterOverrides | undefined): readonly unknown[] {
    const levels = route?.filterOverrides?.(filterName) ?? [route?.filterOverride(filterName)];
    return levels.flatMap((level) => (level?.config === undefined ? [] : [this.#parsed(filterName, level.config)]));
  }

  #parsed(filterName: string, typed: { readonly config: Json } | undefined): unknown {
    if (typed === undefined) return undefined;
    if (this.#routeConfigs.has(typed)) return this.#routeConfigs.get(typed);
    const parsed = this.places.find((place) => place.name === filterName)?.type.parseRoute?.(typed.config);
    if (parsed !== undefined && !parsed.ok) {
      throw new Error(`${filterName}: ${parsed.error.map((issue) => `${issue.path}: ${issue.message}`).join("; ")}`);
    }
    const value = parsed?.value;
    this.#routeConfigs.set(typed, value);
    return value;
  }

  /** Tells the factories that their configuration and every exchange that used it are gone. */
  close(): void {
    for (const { factory } of this.places) factory.close?.();
    this.terminal.close?.();
  }
}

/** A filter that takes part in an exchange. */
export interface ActiveFilter {
  readonly place: ChainPlace;
  readonly filter: HttpFilter;
  /** See running-code.ts. */
  readonly code: number;
}

const NONE: readonly ActiveFilter[] = [];
