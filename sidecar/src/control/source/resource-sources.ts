import type { Inspectable, Json } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { ADS, describeOrigin, originKey, type ResourceOrigin } from "@heddle/traffic";
import type { ResourceKind, ResourceSubscriber } from "@heddle/xds";
import type { ResourceStatus } from "@heddle/xds/client";

/** What brings resources: a stream, polling, or a file. */
export interface ResourceFeed extends ResourceSubscriber, Inspectable {
  statuses(): ResourceStatus[];
  close(): void;
}

export interface ResourceSourcesOptions {
  /** The aggregated stream, which outlives everything here. Undefined: the bootstrap has none. */
  readonly ads: ResourceFeed | undefined;
  /** Makes the feed of a kind from any other origin. It must not call back before it is subscribed to. */
  readonly open: (kind: ResourceKind, origin: ResourceOrigin) => ResourceFeed;
  readonly log: Log;
}

/**
 * Everything that brings resources. What is asked for goes to the aggregated stream, or to a feed of that kind and origin, made
 * when the first name is asked for and ended with the last.
 */
export class ResourceSources implements ResourceSubscriber, Inspectable {
  readonly name = "sources";
  readonly #options: ResourceSourcesOptions;
  readonly #feeds = new Map<string, { readonly origin: ResourceOrigin; readonly feed: ResourceFeed }>();
  #saidMissing = false;
  #closed = false;

  constructor(options: ResourceSourcesOptions) {
    this.#options = options;
  }

  subscribe(kind: ResourceKind, names: ReadonlySet<string>, origin: ResourceOrigin = ADS): void {
    if (this.#closed) return;
    if (origin.type === "ads") this.#subscribeAds(kind, names);
    else this.#subscribeFeed(kind, names, origin);
  }

  /** Of everything but the aggregated stream. */
  statuses(): ResourceStatus[] {
    return [...this.#feeds.values()].flatMap(({ feed }) => feed.statuses());
  }

  inspect(): Json {
    return [...this.#feeds.values()].map(({ origin, feed }) => ({
      source: describeOrigin(origin),
      ...(feed.inspect() as object),
    }));
  }

  close(): void {
    this.#closed = true;
    for (const { feed } of this.#feeds.values()) feed.close();
  }

  #subscribeAds(kind: ResourceKind, names: ReadonlySet<string>): void {
    const { ads, log } = this.#options;
    if (ads !== undefined) ads.subscribe(kind, names);
    else if (names.size > 0 && !this.#saidMissing) {
      this.#saidMissing = true;
      log.error("resources are to come from ads, and the bootstrap has no ads_config", { kind, names: [...names] });
    }
  }

  #subscribeFeed(kind: ResourceKind, names: ReadonlySet<string>, origin: ResourceOrigin): void {
    const key = `${kind} ${originKey(origin)}`;
    let entry = this.#feeds.get(key);
    if (entry === undefined) {
      if (names.size === 0) return;
      entry = { origin, feed: this.#options.open(kind, origin) };
      this.#feeds.set(key, entry);
    }
    entry.feed.subscribe(kind, names);
    if (names.size > 0) return;
    this.#feeds.delete(key);
    entry.feed.close();
  }
}
