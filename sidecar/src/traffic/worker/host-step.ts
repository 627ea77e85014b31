import type { ClusterConfig, EndpointsConfig, ListenerConfig, RouteConfiguration } from "@heddle/traffic";
import type { TouchedNames } from "../build/build-runtime.ts";
import type { RuntimeEntry, RuntimeInput } from "../build/runtime.ts";
import type { DecodedEntry, DecodedUpdate } from "./config-receiver.ts";

/** All that a worker has, by name; endpoints by the cluster's name. */
export class HostConfig {
  readonly listeners = new Map<string, ListenerConfig>();
  readonly routeConfigurations = new Map<string, RuntimeEntry<RouteConfiguration>>();
  readonly clusters = new Map<string, RuntimeEntry<ClusterConfig>>();
  readonly endpoints = new Map<string, RuntimeEntry<EndpointsConfig>>();
}

/**
 * What a step makes of a configuration, which stays as it is until the step counts: a copy of everything would take as long
 * for one endpoint as for ten thousand clusters. Generators may be left at each `yield` until the next turn.
 */
export class HostStep implements RuntimeInput {
  readonly routeConfigurations: Overlay<RuntimeEntry<RouteConfiguration>>;
  readonly clusters: Overlay<RuntimeEntry<ClusterConfig>>;
  readonly endpoints: Overlay<RuntimeEntry<EndpointsConfig>>;
  readonly touched: { readonly [Field in keyof TouchedNames]: Set<string> } = {
    routeConfigurations: new Set(),
    clusters: new Set(),
  };
  /** Names in statistics of clusters that are gone. */
  readonly retiring: string[] = [];
  readonly #listeners: Overlay<ListenerConfig>;

  constructor(before: HostConfig) {
    this.#listeners = new Overlay(before.listeners);
    this.routeConfigurations = new Overlay(before.routeConfigurations);
    this.clusters = new Overlay(before.clusters);
    this.endpoints = new Overlay(before.endpoints);
  }

  *read({ changed, removed }: DecodedUpdate): Generator<undefined, void> {
    for (const { kind, name } of removed) {
      const cluster = kind === "cluster" ? this.clusters.get(name) : undefined;
      if (cluster !== undefined) this.retiring.push(cluster.value.statName);
      this.#overlay(kind)?.delete(name);
      this.#touch(kind, name);
      yield;
    }
    for (const entry of changed) {
      this.#set(entry);
      this.#touch(entry.kind, entry.name);
      yield;
    }
  }

  /** What could not be built is not tried again with each step to come. */
  keep(kind: "cluster" | "route-configuration", name: string): void {
    this.#overlay(kind)?.keep(name);
  }

  /** From now on connections look at the listeners of the step. */
  commitListeners(): void {
    for (const _ of this.#listeners.commit());
  }

  /** The rest; nobody looks at it before the next step. */
  *commit(): Generator<undefined, void> {
    yield* this.routeConfigurations.commit();
    yield* this.clusters.commit();
    yield* this.endpoints.commit();
  }

  #touch(kind: DecodedEntry["kind"], name: string): void {
    if (kind === "cluster" || kind === "endpoints") this.touched.clusters.add(name);
    else if (kind === "route-configuration") this.touched.routeConfigurations.add(name);
  }

  #set(entry: DecodedEntry): void {
    switch (entry.kind) {
      case "listener":
        this.#listeners.set(entry.name, entry.value);
        break;
      case "route-configuration":
        this.routeConfigurations.set(entry.name, entry);
        break;
      case "cluster":
        this.clusters.set(entry.name, entry);
        break;
      case "endpoints":
        this.endpoints.set(entry.name, entry);
        break;
      case "secret": // those are live
      case "runtime":
      case "extension-config":
        break;
      default:
        throw new Error(`unknown kind ${(entry satisfies never as { kind: string }).kind}`);
    }
  }

  #overlay(kind: DecodedEntry["kind"]): Pick<Overlay<unknown>, "delete" | "keep"> | undefined {
    switch (kind) {
      case "listener":
        return this.#listeners;
      case "route-configuration":
        return this.routeConfigurations;
      case "cluster":
        return this.clusters;
      case "endpoints":
        return this.endpoints;
      default:
        return undefined;
    }
  }
}

/** A map as it will be. */
class Overlay<Value> {
  readonly #base: Map<string, Value>;
  readonly #changed = new Map<string, Value>();
  readonly #removed = new Set<string>();

  constructor(base: Map<string, Value>) {
    this.#base = base;
  }

  get(name: string): Value | undefined {
    const changed = this.#changed.get(name);
    if (changed !== undefined) return changed;
    return this.#removed.has(name) ? undefined : this.#base.get(name);
  }

  set(name: string, value: Value): void {
    this.#changed.set(name, value);
  }

  delete(name: string): void {
    this.#removed.add(name);
  }

  /** As it is in the base, whatever was said before. */
  keep(name: string): void {
    this.#changed.delete(name);
    this.#removed.delete(name);
  }

  *commit(): Generator<undefined, void> {
    for (const name of this.#removed) {
      this.#base.delete(name);
      yield;
    }
    for (const [name, value] of this.#changed) {
      this.#base.set(name, value);
      yield;
    }
  }
}
