import { isIP } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { Address } from "@heddle/traffic";

/**
 * The gRPC name of these addresses, which gRPC dials in their order: one host name, or one Unix socket, or several IP
 * addresses of one family. `what` is for the error: `the xDS cluster "x"`.
 */
export function grpcTarget(what: string, addresses: readonly Address[]): Result<string, string> {
  const [first, ...more] = addresses;
  if (first === undefined) return err(`${what} has no endpoints`);
  if (first.type === "pipe") {
    if (more.length > 0) return err(`${what} has more than one endpoint besides a Unix socket`);
    return ok(`unix:${first.path}`);
  }
  const family = isIP(first.address);
  if (family === 0) {
    if (more.length > 0) return err(`${what} has more than one endpoint besides a host name`);
    return ok(`dns:///${first.address}:${first.port}`);
  }
  const texts: string[] = [];
  for (const address of addresses) {
    if (address.type === "pipe" || isIP(address.address) !== family)
      return err(`the endpoints of ${what} are not IP addresses of one family`);
    texts.push(family === 6 ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`);
  }
  return ok(`ipv${family}:${texts.join(",")}`);
}

/**
 * The same for any addresses: one gRPC name after the other, to be dialled in turn. Those of one family that stand together are
 * one name.
 */
export function grpcTargets(what: string, addresses: readonly Address[]): Result<readonly string[], string> {
  if (addresses.length === 0) return err(`${what} has no endpoints`);
  const groups: Address[][] = [];
  let before = 0;
  for (const address of addresses) {
    const family = address.type === "pipe" ? 0 : isIP(address.address);
    if (family !== 0 && family === before)
      groups.at(-1)!.push(address); // `before` is of the last group
    else groups.push([address]);
    before = family;
  }
  const targets: string[] = [];
  for (const group of groups) {
    const target = grpcTarget(what, group);
    if (!target.ok) return target;
    targets.push(target.value);
  }
  return ok(targets);
}
