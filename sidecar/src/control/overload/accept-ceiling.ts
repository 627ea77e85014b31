import { NO_CEILING } from "../../traffic/overload/vitals.ts";

export interface DescriptorUse {
  /** Of the process; undefined: nobody knows. */
  readonly limit: number | undefined;
  /** In use now; undefined: nobody knows. */
  readonly used: number | undefined;
  /** Downstream connections now. */
  readonly connections: number;
}

/** Kept for what is not traffic: logs that are reopened, admin, the control plane, a worker that is replaced. */
const RESERVED_DESCRIPTORS = 32;

/**
 * At how many downstream connections accepting pauses, so that descriptors never run out. A process without descriptors must
 * accept a connection only to close it, or look at it again and again; connections that wait in the kernel cost nothing, and are
 * accepted when others have ended.
 *
 * Each new connection may need one descriptor more for its upstream, so half of what is left is for either. As that is
 * looked at again and again, connections that need no upstream of their own fill the rest in a few steps.
 */
export function acceptCeiling({ limit, used, connections }: DescriptorUse): number {
  if (limit === undefined || used === undefined) return NO_CEILING;
  const left = limit - RESERVED_DESCRIPTORS - used;
  return connections + Math.max(0, Math.floor(left / 2));
}
