import { err, ok } from "@heddle/base";
import type { StatusRights } from "@heddle/xds/server";
import type { Caller } from "../api/access.ts";

export interface StatusRightsOptions {
  /** Neither certificates nor tokens tell one caller from another: whoever reaches the port is told of all. */
  readonly isOpen: boolean;
  /** Whose token of the resource API that is; undefined: nobody's. */
  readonly tokenHolderOf: (authorization: string | undefined) => Caller | undefined;
}

/**
 * Which nodes' configuration somebody may be shown (CSDS). A token of the resource API shows those of the caller's groups, or all;
 * a certificate, those that have shown the same; and on a port that shows nobody a client is shown the node that it says it is,
 * if that has not shown more of itself either.
 */
export function statusRights({ isOpen, tokenHolderOf }: StatusRightsOptions): StatusRights {
  return ({ authorization, peer, nodeId }) => {
    const holder = tokenHolderOf(authorization);
    if (holder !== undefined) return ok(({ cluster }) => holder.groups?.includes(cluster) ?? true);
    if (peer?.ok === false) return err(`${peer.error}, and the call no token that is known`);
    if (peer !== undefined) {
      const { trustDomain, path } = peer.value.identity;
      return ok(({ identity }) => identity?.trustDomain === trustDomain && identity.path === path);
    }
    return ok(({ id, identity }) => isOpen || (identity === undefined && id === nodeId));
  };
}
