import type { ConfigDelta, ProxyConfig } from "@heddle/config";
import { parseLaneKey } from "@heddle/config/lanes";
import type { SharedMetrics } from "@heddle/telemetry";
import { filterChainsOf, secretKey, secretsOf } from "@heddle/traffic";
import type { ResourceUpdate } from "@heddle/xds";
import { statPrefixOf } from "../traffic/listener/stat-prefix.ts";

/**
 * Metrics of secrets, under Envoy's names: `sds.<name>.update_*` of each secret that is asked for, and
 * `ssl_context_update_by_sds` of the listeners and clusters whose TLS contexts it has changed. They are of the process, so
 * the control thread has them.
 */
export class SecretStats {
  readonly #metrics: SharedMetrics;
  readonly #wallNow: () => number;

  constructor(metrics: SharedMetrics, wallNow: () => number) {
    this.#metrics = metrics;
    this.#wallNow = wallNow;
  }

  /** Something came from a control plane. */
  received({ kind, changed, refreshed = [] }: ResourceUpdate): void {
    if (kind !== "secret") return;
    for (const name of [...changed.keys(), ...refreshed]) {
      const scope = this.#metrics.scope("sds", { [LABEL]: name });
      scope.counter("update_attempt").add();
      scope.counter("update_success").add();
      scope.gauge("update_time").set(this.#wallNow());
    }
  }

  /** The files of a secret have changed, and what is in them now cannot be used. */
  rotationFailed(name: string): void {
    this.#metrics
      .scope("sds", { [LABEL]: name })
      .counter("key_rotation_failed")
      .add();
  }

  /** A step of the configuration has been taken; `config` is what it made of it. Answers whether a secret was in it. */
  applied({ changed, removed }: ConfigDelta, config: () => ProxyConfig): boolean {
    const keys = new Set(secretKeysIn(changed.keys()));
    const gone = secretKeysIn(removed);
    if (keys.size > 0) this.#countContexts(keys, config());
    for (const key of gone) {
      const name = /^sds\/(.*?)(?:@[\w-]{20})?$/s.exec(key)?.[1];
      if (name !== undefined) this.#metrics.retire({ [LABEL]: name });
    }
    return keys.size + gone.length > 0;
  }

  #countContexts(keys: ReadonlySet<string>, { listeners, clusters }: ProxyConfig): void {
    const uses = (tls: Parameters<typeof secretsOf>[0] | undefined): boolean =>
      tls !== undefined && secretsOf(tls).some((reference) => keys.has(secretKey(reference)));
    for (const listener of listeners.values()) {
      const count = filterChainsOf(listener).filter(({ tls }) => uses(tls)).length;
      if (count === 0) continue;
      const scope = this.#metrics.scope("listener", { envoy_listener_address: statPrefixOf(listener) });
      scope.scope("server_ssl_socket_factory").counter(UPDATES).add(count);
    }
    for (const { statName, tls, transportSocketMatches = [] } of clusters.values()) {
      const count = [tls, ...transportSocketMatches.map((match) => match.tls)].filter(uses).length;
      if (count === 0) continue;
      const scope = this.#metrics.scope("cluster", { envoy_cluster_name: statName });
      scope.scope("client_ssl_socket_factory").counter(UPDATES).add(count);
    }
  }
}

const LABEL = "envoy_sds_secret";
const UPDATES = "ssl_context_update_by_sds";

function secretKeysIn(laneKeys: Iterable<string>): string[] {
  return Array.from(laneKeys, parseLaneKey).flatMap(({ kind, name }) => (kind === "secret" ? [name] : []));
}
