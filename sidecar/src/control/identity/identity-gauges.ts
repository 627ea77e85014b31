import type { Clock } from "@heddle/base";
import type { MetricScope } from "@heddle/telemetry";
import type { OwnIdentity } from "./own-identity.ts";

/** Gauges and counters of the identity (`identity.*`, of this proxy alone). Returns what brings them up to date. */
export function identityGauges(metrics: MetricScope, identity: OwnIdentity, clock: Clock): () => void {
  const scope = metrics.scope("identity");
  const seconds = scope.gauge("seconds_until_svid_expires");
  const renewals = scope.counter("svid_issued");
  const failures = scope.counter("svid_failed");
  const told = { renewals: 0, failures: 0 };
  return () => {
    const { svid } = identity.current;
    seconds.set(svid === undefined ? 0 : Math.max(0, Math.floor((svid.validToMs - clock.wallNow()) / 1000)));
    const now = identity.state;
    renewals.add(now.renewals - told.renewals);
    failures.add(now.failures - told.failures);
    told.renewals = now.renewals;
    told.failures = now.failures;
  };
}
