import assert from "node:assert/strict";
import { test } from "node:test";
import type { DnsDomain, ListenerConfig } from "@heddle/traffic";
import { encodeDnsDomain, joinDnsListener } from "./join-dns-listener.ts";
import { makeResourceTypes } from "./resource-types.ts";

const { listener } = makeResourceTypes({ httpFilters: "unchecked" });

test("a listener put together of the entries of its table is read as the same encoded whole", () => {
  const domains = Array.from(
    { length: 200 },
    (_, i): DnsDomain => ({
      name: `service-${i}.${"team-".repeat(i % 9)}a`,
      answerTtlS: i % 3 === 0 ? 300 : 30 + i,
      addresses: i % 2 === 0 ? [`10.0.0.${i}`, "fd00::1"] : [`10.0.0.${i}`],
    }),
  );
  for (const [retries, additionalAddresses] of [
    [0, []],
    [2, [{ type: "socket", address: "::1", port: 15_053 }]],
  ] as const) {
    const config: ListenerConfig = {
      name: "dns",
      address: { type: "socket", address: "127.0.0.1", port: 15_053 },
      additionalAddresses,
      statPrefix: "dns",
      filterChains: [],
      defaultFilterChain: undefined,
      perConnectionBufferLimitBytes: 32 * 1024,
      listenerFiltersTimeoutMs: 15_000,
      continueOnListenerFiltersTimeout: false,
      listenerFilters: [],
      trafficDirection: "UNSPECIFIED",
      tcpBacklogSize: undefined,
      reusePort: true,
      drainType: "DEFAULT",
      accessLog: [],
      udp: {
        maxDatagramBytes: 4096,
        dns: {
          statPrefix: "dns",
          domains,
          client: {
            resolverTimeoutMs: 2000,
            retries,
            maxPendingLookups: 9,
            servers: [],
            serversAsFallback: false,
            useTcp: false,
          },
        },
      },
    };
    const joined = listener.decode(joinDnsListener(listener, config, domains.map(encodeDnsDomain)));
    assert.ok(joined.ok, JSON.stringify(joined));
    assert.deepEqual(joined.value.config, config);
    assert.deepEqual(joined, listener.decode(listener.encode(config)));
  }
});
