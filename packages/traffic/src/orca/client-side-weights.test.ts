import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "@heddle/base";
import { HeaderMap, ProtobufReader } from "@heddle/http";
import { byReports } from "../balance/by-reports.ts";
import type { Picker } from "../balance/picker.ts";
import { makeEndpoints, pickedEndpoint, seededRandom } from "../balance/picker-contract.ts";
import type { ClientSideWeightedRoundRobin } from "../cluster/cluster-config.ts";
import { ClientSideWeights } from "./client-side-weights.ts";
import { EndpointReports } from "./endpoint-reports.ts";

const DEFAULTS: ClientSideWeightedRoundRobin = {
  type: "client-side-weighted-round-robin",
  blackoutPeriodMs: 10_000,
  weightExpirationPeriodMs: 180_000,
  weightUpdatePeriodMs: 1000,
  errorUtilizationPenalty: 1,
  metricNamesForComputingUtilization: [],
};

/** A cluster of that many endpoints, whose configuration gives them weights 1, 2, 3 … */
function makeCluster(size: number, config: Partial<ClientSideWeightedRoundRobin> = {}) {
  const clock = new ManualClock();
  clock.advance(5);
  const endpoints = makeEndpoints(Array.from({ length: size }, (_, i) => i + 1));
  let picker: Picker;
  let made = 0;
  const make = (): void => {
    made += 1;
    picker = byReports(endpoints, seededRandom(made));
  };
  const weights = new ClientSideWeights({ ...DEFAULTS, ...config }, clock, {
    endpoints: () => endpoints,
    onWeights: make,
  });
  const reports = new EndpointReports(undefined, weights, (message) => new ProtobufReader(message));
  make();
  return {
    clock,
    weights,
    report: (place: number, text: string) =>
      reports.take(endpoints[place]!, new HeaderMap(["endpoint-load-metrics", `TEXT ${text}`])),
    /** How many of that many picks went to each. */
    shares(picks: number): number[] {
      const counts = new Array<number>(size).fill(0);
      for (let i = 0; i < picks; i++) {
        const place = endpoints.indexOf(pickedEndpoint(picker));
        counts[place] = counts[place]! + 1;
      }
      return counts;
    },
    /** How often a picker was made. */
    made: () => made,
  };
}

describe("weights by what endpoints report", () => {
  it("do not matter until reports have come for the blackout period, nor do those of the configuration", () => {
    const { clock, report, shares, made } = makeCluster(2);
    assert.deepEqual(shares(10), [5, 5]);
    report(0, "rps_fractional=100,cpu_utilization=0.2");
    report(1, "rps_fractional=100,cpu_utilization=0.8");
    clock.advance(9_999);
    assert.deepEqual(shares(10), [5, 5]);
    assert.equal(made(), 1);
    clock.advance(1);
    assert.deepEqual(shares(100), [80, 20]);
    assert.equal(made(), 2);
  });

  it("follow the reports at each update, and nothing is made anew where they stay as they are", () => {
    const { clock, report, shares, made } = makeCluster(2, { blackoutPeriodMs: 0 });
    for (const place of [0, 1]) report(place, "rps_fractional=10,cpu_utilization=0.5");
    clock.advance(1000);
    assert.equal(made(), 2);
    for (const place of [0, 1]) report(place, "rps_fractional=10,cpu_utilization=0.5");
    clock.advance(5000);
    assert.equal(made(), 2);
    report(1, "rps_fractional=30,cpu_utilization=0.5");
    assert.deepEqual(shares(8), [4, 4]);
    clock.advance(1000);
    assert.deepEqual(shares(8), [2, 6]);
  });

  it("of those that report nothing are the median of the others", () => {
    const { clock, report, shares } = makeCluster(4, { blackoutPeriodMs: 0 });
    report(0, "rps_fractional=1,cpu_utilization=1");
    report(2, "rps_fractional=3,cpu_utilization=1");
    clock.advance(1000);
    assert.deepEqual(shares(80), [10, 20, 30, 20]);
    report(1, "rps_fractional=6,cpu_utilization=1");
    clock.advance(1000);
    assert.deepEqual(shares(130), [10, 60, 30, 30]);
  });

  it("are forgotten when no report has come for the expiration period, and then the blackout begins anew", () => {
    const { clock, report, shares } = makeCluster(2, { blackoutPeriodMs: 2000, weightExpirationPeriodMs: 5000 });
    const both = (): void => {
      report(0, "rps_fractional=10,cpu_utilization=0.1");
      report(1, "rps_fractional=10,cpu_utilization=0.9");
    };
    both();
    clock.advance(5000);
    assert.deepEqual(shares(100), [90, 10]);
    clock.advance(1000);
    assert.deepEqual(shares(100), [50, 50]);
    assert.equal(clock.pending, 0, "nobody reports, and no time is kept");
    both();
    clock.advance(1999);
    assert.deepEqual(shares(100), [50, 50]);
    clock.advance(1001);
    assert.deepEqual(shares(100), [90, 10]);
  });

  it("are lower by the errors that are reported", () => {
    const { clock, report, shares } = makeCluster(2, { blackoutPeriodMs: 0, errorUtilizationPenalty: 4 });
    report(0, "rps_fractional=100,cpu_utilization=0.5");
    report(1, "rps_fractional=100,cpu_utilization=0.5,eps=25"); // 0.5 + 4 * 0.25
    clock.advance(1000);
    assert.deepEqual(shares(100), [75, 25]);
  });

  it("go by named metrics, then by the application's utilization, then by the processor's", () => {
    const { clock, report, shares } = makeCluster(3, {
      blackoutPeriodMs: 0,
      metricNamesForComputingUtilization: ["named_metrics.queue", "utilization.*"],
    });
    report(0, "rps_fractional=1,named_metrics.queue=0.1,utilization.disk=0.2,application_utilization=0.9");
    report(1, "rps_fractional=1,application_utilization=0.4,cpu_utilization=0.9");
    report(2, "rps_fractional=1,named_metrics.queue=0,cpu_utilization=0.8");
    clock.advance(1000);
    assert.deepEqual(shares(70), [40, 20, 10]);
  });

  it("are not given by reports without requests, or without utilization", () => {
    const { clock, report, shares } = makeCluster(2, { blackoutPeriodMs: 0 });
    report(0, "cpu_utilization=0.5");
    report(1, "rps_fractional=10");
    clock.advance(10_000);
    assert.equal(clock.pending, 0);
    assert.deepEqual(shares(10), [5, 5]);
  });

  it("stay numbers that divide, whatever is said", () => {
    const { clock, report, shares } = makeCluster(2, { blackoutPeriodMs: 0 });
    report(0, "rps_fractional=1e15,cpu_utilization=1e-300");
    report(1, "rps_fractional=1e-300,cpu_utilization=1e15");
    clock.advance(1000);
    assert.deepEqual(shares(1000), [1000, 0]);
  });

  it("stay numbers where the penalty is nothing, or has no end", () => {
    const usual = "cpu_utilization=0.5,rps_fractional=100";
    for (const penalty of [0, Infinity]) {
      const { clock, report, shares } = makeCluster(3, { blackoutPeriodMs: 0, errorUtilizationPenalty: penalty });
      report(0, usual);
      report(1, "cpu_utilization=0.5,rps_fractional=1e-320,eps=1");
      report(2, usual);
      clock.advance(1000);
      assert.deepEqual(shares(1000), [500, 0, 500], `penalty ${penalty}`);
    }
  });

  it("end with the cluster: what comes after that sets no timer", () => {
    const { clock, weights, report } = makeCluster(1);
    report(0, "rps_fractional=1,cpu_utilization=0.5");
    assert.equal(clock.pending, 1);
    weights.close();
    report(0, "rps_fractional=2,cpu_utilization=0.5");
    assert.equal(clock.pending, 0);
  });
});
