import { err, ok, type Result } from "@heddle/base";
import type { SpiffeId } from "@heddle/identity";

/** As Kubernetes has namespaces and service accounts (RFC 1123); every one of them is a good path segment of SPIFFE's. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const ACCOUNT = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** The SPIFFE ID of a workload's account. The error names the part that is wrong. */
export function workloadId(trustDomain: string, namespace: string, account: string): Result<SpiffeId, string> {
  if (!NAMESPACE.test(namespace))
    return err(`namespace: found "${namespace.slice(0, 80)}", allowed: a-z, 0-9 and -, at most 63`);
  if (!ACCOUNT.test(account))
    return err(`account: found "${account.slice(0, 80)}", allowed: a-z, 0-9, - and ., at most 253`);
  return ok({ trustDomain, path: `/ns/${namespace}/sa/${account}` });
}

/** The control plane's own. */
export function controlPlaneId(trustDomain: string): SpiffeId {
  return { trustDomain, path: "/ns/heddle-system/sa/control-plane" };
}
