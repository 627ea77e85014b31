import { connectivityState } from "@grpc/grpc-js";
import { Backoff, type Clock, type Timer } from "@heddle/base";
import type { TrustBundle } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import type { XdsChannel } from "@heddle/xds/client";
import { type BundleWatch, watchTrustBundles } from "./authority-client.ts";

export interface BundleFollowerOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly onBundles: (bundles: readonly TrustBundle[]) => void;
}

const BACKOFF = { baseMs: 1000, maxMs: 60_000 };

/**
 * Follows the authority's trust bundles on a connection that somebody else makes and ends. A new connection is attached when
 * there is one; until then the watch is opened again on the old, less and less often.
 */
export class BundleFollower {
  readonly #options: BundleFollowerOptions;
  readonly #backoff: Backoff;
  #channel: XdsChannel | undefined;
  #watch: BundleWatch | undefined;
  #timer: Timer | undefined;

  constructor(options: BundleFollowerOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
  }

  attach(channel: XdsChannel): void {
    this.close();
    this.#channel = channel;
    this.#open();
  }

  /** The connection is its owner's. */
  close(): void {
    this.#timer?.cancel();
    this.#watch?.close();
    this.#watch = undefined;
    this.#channel = undefined;
  }

  #open(): void {
    const channel = this.#channel;
    // Its owner has let go of it: gRPC would throw. There will be another one to attach.
    if (channel === undefined || channel.getChannel().getConnectivityState(false) === connectivityState.SHUTDOWN)
      return;
    const { clock, log, onBundles } = this.#options;
    this.#watch = watchTrustBundles(channel, {
      onBundles: (bundles) => {
        if (!bundles.ok) {
          log.error("the authority's trust bundles cannot be used; those from before are", { reason: bundles.error });
          return;
        }
        this.#backoff.reset();
        onBundles(bundles.value);
      },
      onEnd: (reason) => {
        this.#watch = undefined;
        log.debug("the watch on the trust bundles ended", { reason });
        this.#timer = clock.after(this.#backoff.nextMs(), () => this.#open(), true);
      },
    });
  }
}
