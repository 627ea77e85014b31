import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import { type Log, MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import type { MetricsBatch } from "@heddle/telemetry/otlp";
import { defaultTelemetry } from "@heddle/traffic";
import { MetricsPush } from "./metrics-push.ts";
import type { OtlpDoor } from "./span-exports.ts";
import { statsPresentation } from "./stats-presentation.ts";

/** A push that is due after a second; what it has sent, each with how it ends. */
function world(count: number) {
  const clock = new ManualClock();
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const sent: { readonly batch: MetricsBatch; readonly settle: PromiseWithResolvers<void> }[] = [];
  const receiver = {
    export(batch: MetricsBatch) {
      const settle = Promise.withResolvers<void>();
      sent.push({ batch, settle });
      return settle.promise;
    },
    close: async () => undefined,
  };
  let made = 0;
  const push = new MetricsPush({
    sink: {
      destination: {
        protocol: "grpc",
        target: { type: "address", address: "ipv4:127.0.0.1:4317" },
        uri: "",
        headers: [],
        timeoutMs: 1000,
      },
      serviceName: "s",
      prefix: "",
      emitTagsAsAttributes: true,
      useTagExtractedName: true,
    },
    intervalMs: 1000,
    env: {
      clock,
      log: { info: say, warn: say } as unknown as Log,
      metrics,
      config: () => ({}) as ProxyConfig,
      resource: {},
      version: "1",
      loadOtlp: async () => ({ metricExporter: () => receiver }) as unknown as OtlpDoor,
    },
    *walk() {
      for (made = 0; made < count; made++) {
        yield undefined;
        yield { kind: "counter", name: `c${made}`, labels: {}, value: made, buckets: undefined, sum: 0 };
      }
    },
    presentation: statsPresentation(defaultTelemetry.stats),
  });
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(0);
    }
  };
  metrics.flush();
  const failed = (): number => registry.sum("metrics_sink.open_telemetry.failed");
  return { clock, push, sent, said, turns, failed, made: () => made };
}

test("metrics are sent in parts of 500, each made when the one before has arrived; none is left out", async () => {
  const { clock, push, sent, turns, made } = world(1200);
  clock.advance(1000);
  await turns();
  assert.deepEqual([sent.length, made()], [1, 499], "the rest is not even looked at");
  for (let i = 0; i < 3; i++) {
    sent[i]?.settle.resolve();
    await turns();
  }
  assert.deepEqual(
    sent.map(({ batch }) => batch.series.length),
    [500, 500, 200],
  );
  const names = sent.flatMap(({ batch }) => batch.series.map(({ name }) => name));
  assert.deepEqual([new Set(names).size, names.at(-1)], [1200, "c1199"]);
  await close(push, sent, turns);
});

test("where a part does not arrive the others are not tried, until the next time", async () => {
  const { clock, push, sent, said, turns, failed } = world(1200);
  clock.advance(1000);
  await turns();
  sent[0]?.settle.reject(new Error("away"));
  await turns();
  assert.deepEqual([sent.length, failed(), said], [1, 1, ["metrics cannot be exported"]]);
  clock.advance(1000);
  await turns();
  assert.equal(sent[1]?.batch.series[0]?.name, "c0");
  await close(push, sent, turns);
  assert.deepEqual(said, ["metrics cannot be exported", "metrics are exported again"]);
});

async function close(
  push: MetricsPush,
  sent: readonly { readonly settle: PromiseWithResolvers<void> }[],
  turns: () => Promise<void>,
): Promise<void> {
  const closed = push.close();
  for (let i = 0; i < 8; i++) {
    for (const { settle } of sent) settle.resolve();
    await turns();
  }
  await closed;
}
