import { RetryDecision, type RetryPolicy } from "@heddle/traffic";

const compiled = new WeakMap<RetryPolicy, RetryDecision>();

/** The compiled form of a policy: made at its first use, kept as long as the configuration that holds it. */
export function retryDecision(policy: RetryPolicy): RetryDecision {
  let decision = compiled.get(policy);
  if (decision === undefined) {
    decision = new RetryDecision(policy);
    compiled.set(policy, decision);
  }
  return decision;
}
