import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "@heddle/base";
import { messageFromJson } from "@heddle/proto";
import { defaultWatchdog } from "@heddle/traffic";
import { decodeOverload } from "./overload.ts";

function read(bootstrap: Json) {
  const message = messageFromJson("envoy.config.bootstrap.v3.Bootstrap", bootstrap);
  assert.ok(message.ok, JSON.stringify(message));
  return decodeOverload(message.value);
}

const monitor = (name: string, type: string, config: object) => ({
  name,
  typed_config: { "@type": `type.googleapis.com/envoy.extensions.resource_monitors.${type}`, ...config },
});
const HEAP = monitor("heap", "fixed_heap.v3.FixedHeapConfig", { max_heap_size_bytes: 1_073_741_824 });

describe("overload_manager", () => {
  test("is read whole", () => {
    const { overload, errors, unhonoured } = read({
      overload_manager: {
        refresh_interval: "0.25s",
        resource_monitors: [
          HEAP,
          monitor("cgroup", "cgroup_memory.v3.CgroupMemoryConfig", { max_memory_bytes: 5 }),
          monitor("cpu", "cpu_utilization.v3.CpuUtilizationConfig", { mode: "CONTAINER" }),
          monitor("connections", "downstream_connections.v3.DownstreamConnectionsConfig", {
            max_active_downstream_connections: 1000,
          }),
        ],
        actions: [
          {
            name: "envoy.overload_actions.stop_accepting_requests",
            triggers: [
              { name: "heap", threshold: { value: 0.95 } },
              { name: "cpu", scaled: { scaling_threshold: 0.8, saturation_threshold: 0.9 } },
            ],
          },
        ],
      },
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(unhonoured, []);
    assert.deepEqual(overload, {
      refreshIntervalMs: 250,
      maxDownstreamConnections: 1000,
      monitors: [
        { name: "heap", type: "fixed-heap", maxBytes: 1_073_741_824 },
        { name: "cgroup", type: "cgroup-memory", maxBytes: 5 },
        { name: "cpu", type: "cpu", of: "container" },
      ],
      actions: [
        {
          name: "envoy.overload_actions.stop_accepting_requests",
          triggers: [
            { monitor: "heap", type: "threshold", value: 0.95 },
            { monitor: "cpu", type: "scaled", scalingThreshold: 0.8, saturationThreshold: 0.9 },
          ],
        },
      ],
    });
  });

  test("its actions that do nothing here are reported, with those that do", () => {
    const { overload, errors, unhonoured } = read({
      overload_manager: {
        resource_monitors: [HEAP],
        actions: [
          { name: "envoy.overload_actions.shrink_heap", triggers: [{ name: "heap", threshold: { value: 0.9 } }] },
        ],
        loadshed_points: [
          { name: "envoy.load_shed_points.tcp_listener_accept", triggers: [{ name: "heap", threshold: { value: 1 } }] },
        ],
      },
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(overload?.actions, []);
    assert.equal(overload?.refreshIntervalMs, 1000, "Envoy's default");
    assert.deepEqual(
      unhonoured.map(({ path }) => path),
      ["overload_manager.loadshed_points", "overload_manager.actions[0].name"],
    );
  });

  test("what is wrong in it is told with its path", () => {
    const injected = monitor("injected", "injected_resource.v3.InjectedResourceConfig", { filename: "/x" });
    const { errors } = read({
      overload_manager: {
        resource_monitors: [HEAP, HEAP, injected],
        actions: [
          { name: "envoy.overload_actions.no_such", triggers: [{ name: "heap", threshold: { value: 0.9 } }] },
          {
            name: "envoy.overload_actions.disable_http_keepalive",
            triggers: [
              { name: "nothing", threshold: { value: 0.9 } },
              { name: "heap", scaled: { scaling_threshold: 0.9, saturation_threshold: 0.8 } },
            ],
          },
        ],
      },
    });
    for (const expected of [
      /^overload_manager\.resource_monitors\[1\]\.name: there are two resource monitors named "heap"/,
      /^overload_manager\.resource_monitors\[2\]\.typed_config: there is no resource monitor .*InjectedResourceConfig; allowed/,
      /^overload_manager\.actions\[0\]\.name: found "envoy\.overload_actions\.no_such", allowed are/,
      /^overload_manager\.actions\[1\]\.triggers\[0\]\.name: found "nothing", which is no resource monitor/,
      /^overload_manager\.actions\[1\]\.triggers\[1\]\.scaled\.scaling_threshold: found 0\.9, allowed is less/,
    ]) {
      assert.ok(errors.some((error) => expected.test(error)), `${expected} in\n${errors.join("\n")}`); // biome-ignore format: one step
    }
    assert.equal(errors.length, 5);
  });
});

describe("watchdogs", () => {
  test("those of the workers are read; a watchdog for all is one too", () => {
    const both = { miss_timeout: "0.1s", megamiss_timeout: "2s", kill_timeout: "3s", max_kill_timeout_jitter: "1s" };
    const config = { missTimeoutMs: 100, megamissTimeoutMs: 2000, killTimeoutMs: 3000, maxKillTimeoutJitterMs: 1000 };
    assert.deepEqual(read({ watchdogs: { worker_watchdog: both } }).watchdog, config);
    assert.deepEqual(read({ watchdog: both }).watchdog, config);
  });

  test("what one that is there does not say is Envoy's default, and there nobody is ended", () => {
    const { watchdog, overload } = read({ watchdogs: { worker_watchdog: {} } });
    assert.deepEqual(watchdog, { ...defaultWatchdog, killTimeoutMs: 0 });
    assert.equal(overload, undefined);
  });

  test("what has no effect is reported", () => {
    const { unhonoured } = read({
      watchdogs: { main_thread_watchdog: {}, worker_watchdog: { multikill_timeout: "1s" } },
    });
    assert.deepEqual(unhonoured.map(({ path }) => path).sort(), [
      "watchdogs.main_thread_watchdog",
      "watchdogs.worker_watchdog.multikill_timeout",
    ]);
  });
});
