import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigDelta, ProxyConfig } from "@heddle/config";
import { MetricsRegistry, SharedMetrics, statName } from "@heddle/telemetry";
import type { ResourceUpdate } from "@heddle/xds";
import { SecretStats } from "./secret-stats.ts";

function world() {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const stats = new SecretStats(metrics, () => 1000);
  const values = (): Readonly<Record<string, number>> => {
    metrics.flush();
    return Object.fromEntries(registry.collect().map((one) => [statName(one.name, one.labels), one.value]));
  };
  return { stats, values };
}

const update = (kind: ResourceUpdate["kind"], changed: string[], refreshed: string[] = []): ResourceUpdate => ({
  kind,
  changed: new Map(changed.map((name) => [name, {} as never])),
  removed: [],
  absent: [],
  refreshed,
});
const delta = (changed: string[], removed: string[] = []): ConfigDelta => ({
  changed: new Map(changed.map((key) => [key, {} as never])),
  removed,
});

const tls = (name: string): object => ({ tls: { common: { certificateSecrets: [{ from: "sds", name }] } } });
const config = {
  listeners: new Map([
    [
      "in",
      {
        statPrefix: "",
        address: { type: "socket", address: "127.0.0.1", port: 80 },
        filterChains: [tls("web"), tls("other"), {}],
        defaultFilterChain: tls("web"),
      },
    ],
  ]),
  clusters: new Map([
    ["a", { statName: "a", ...tls("web") }],
    ["b", { statName: "b" }],
  ]),
} as unknown as ProxyConfig;

test("updates count for their secret, and for each context of TLS that it changes", () => {
  const { stats, values } = world();
  stats.received(update("secret", ["web"]));
  stats.received(update("secret", [], ["web"]));
  stats.received(update("cluster", ["web"]));
  assert.equal(
    stats.applied(delta(["secret/sds/web", "cluster/a"]), () => config),
    true,
  );
  assert.equal(
    stats.applied(delta(["cluster/a"]), () => assert.fail("nobody looks")),
    false,
  );
  stats.rotationFailed("web");
  const now = values();
  assert.equal(now["sds.web.update_success"], 2);
  assert.equal(now["sds.web.update_time"], 1000);
  assert.equal(now["sds.web.key_rotation_failed"], 1);
  assert.equal(now["listener.127.0.0.1_80.server_ssl_socket_factory.ssl_context_update_by_sds"], 2);
  assert.equal(now["cluster.a.client_ssl_socket_factory.ssl_context_update_by_sds"], 1);
  assert.equal(now["cluster.b.client_ssl_socket_factory.ssl_context_update_by_sds"], undefined);
});

test("the figures of a secret that nobody asks for any more are gone", () => {
  const { stats, values } = world();
  stats.received(update("secret", ["web", "file"]));
  stats.applied(delta([], ["secret/sds/web", "secret/sds/file@abcdefghijklmnopqrst"]), () => config);
  assert.deepEqual(Object.keys(values()), []);
});
