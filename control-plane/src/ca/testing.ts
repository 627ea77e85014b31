import type { TestContext } from "node:test";
import { type Clock, ManualClock } from "@heddle/base";
import { certificateRequest, newWorkloadKey, type SpiffeId, type WorkloadKey } from "@heddle/identity";
import type { Log, MetricScope } from "@heddle/telemetry";
import { quietLog } from "@heddle/xds/testing";
import { MemoryStore } from "../store/memory-store.ts";
import type { Store } from "../store/store.ts";
import type { CaOptions } from "./ca-options.ts";
import { CertificateAuthority } from "./certificate-authority.ts";

/* For tests of the certificate authority: one in this process, and what it said and counted. */

export const TRUST_DOMAIN = "cluster.local";
export const WEB: SpiffeId = { trustDomain: TRUST_DOMAIN, path: "/ns/shop/sa/web" };
export const ORDERS: SpiffeId = { trustDomain: TRUST_DOMAIN, path: "/ns/shop/sa/orders" };
export const HOUR_MS = 3_600_000;

export const CA_OPTIONS: CaOptions = {
  trustDomain: TRUST_DOMAIN,
  tlsAddress: { host: "127.0.0.1", port: 0 },
  tlsNames: [],
  svidTtlMs: 24 * HOUR_MS,
  renewalGraceMs: 24 * HOUR_MS,
  passphraseFile: undefined,
  files: undefined,
  joinTokensFile: undefined,
  tokenReview: undefined,
  tokenAudience: "heddle",
  bundleEndpoint: undefined,
  federated: [],
};

export interface TestCa {
  readonly ca: CertificateAuthority;
  readonly store: Store;
  readonly log: TestLog;
  readonly counters: TestCounters;
}

/** An authority that ends with the test. */
export async function openTestCa(
  t: TestContext,
  more: { readonly options?: Partial<CaOptions>; readonly store?: Store; readonly clock?: Clock } = {},
): Promise<TestCa> {
  const store = more.store ?? new MemoryStore();
  if (more.store === undefined) await store.start();
  const [log, counters] = [new TestLog(), new TestCounters()];
  const ca = await CertificateAuthority.open(
    { ...CA_OPTIONS, ...more.options },
    { store, hostName: "machine", clock: more.clock ?? new ManualClock(), log: log.log, metrics: counters.scope() },
  );
  t.after(() => ca.close());
  return { ca, store, log, counters };
}

/** What was logged, a line each: "certificate issued {...}". */
export class TestLog {
  readonly lines: string[] = [];
  readonly log: Log;

  constructor() {
    const keep = (message: string, fields?: object): void =>
      void this.lines.push(fields === undefined ? message : `${message} ${JSON.stringify(fields)}`);
    this.log = { ...quietLog, info: keep, warn: keep, error: keep, with: () => this.log };
  }

  with(part: string): readonly string[] {
    return this.lines.filter((line) => line.includes(part));
  }
}

/** By name and labels: "ca.issued svid". */
export class TestCounters {
  readonly values = new Map<string, number>();

  scope(prefix = ""): MetricScope {
    const nameOf = (name: string, labels: object = {}): string =>
      [`${prefix}${name}`, ...Object.values(labels)].join(" ");
    const add = (key: string, by: number): void => void this.values.set(key, (this.values.get(key) ?? 0) + by);
    return {
      counter: (name, labels) => ({ add: (by = 1) => add(nameOf(name, labels), by) }),
      gauge: (name, labels) => ({
        set: (to) => void this.values.set(nameOf(name, labels), to),
        add: (by) => add(nameOf(name, labels), by),
      }),
      histogram: () => ({ record: () => undefined }),
      group: () => this.scope(prefix),
      scope: (inner) => this.scope(`${prefix}${inner}.`),
    };
  }
}

/** A new key, and a request for it that names that identity, or none. */
export function newRequest(id: SpiffeId | undefined): { readonly key: WorkloadKey; readonly csr: Uint8Array } {
  const key = newWorkloadKey();
  return { key, csr: certificateRequest(key, id) };
}
