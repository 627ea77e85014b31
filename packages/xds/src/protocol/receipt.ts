import type { AcceptedResource } from "../subscription.ts";
import type { AnyMessage } from "./wire.ts";

/** A resource as it came. */
export interface ReceivedResource {
  /** From the envelope; undefined where the message itself has to say. */
  readonly name: string | undefined;
  /** Other names that it answers to. */
  readonly aliases: readonly string[];
  /** Undefined in a heartbeat that goes for whatever version is held. */
  readonly version: string | undefined;
  /** Undefined in a heartbeat. */
  readonly message: AnyMessage | undefined;
  /** How long it is good for; undefined: until it is replaced or removed. */
  readonly ttlMs: number | undefined;
}

/** What a response brought. */
export interface Receipt {
  readonly changed: Map<string, AcceptedResource>;
  readonly refreshed: string[];
  /** Every name in it, taken or not. */
  readonly seen: Set<string>;
  /** Names that it said do not exist, by a resource without body. */
  readonly absent: string[];
  /** Why resources in it were refused, each naming its resource. */
  readonly errors: string[];
  /** Something in it was not wanted. */
  passedOver: boolean;
  /** A heartbeat in it was of something whose time was over here: the server believes that it is held. */
  missed: boolean;
  /** Something in it had no readable name, so that nobody can say what is missing from it. */
  unnamed: boolean;
}

export function emptyReceipt(): Receipt {
  return {
    changed: new Map(),
    refreshed: [],
    seen: new Set(),
    absent: [],
    errors: [],
    passedOver: false,
    missed: false,
    unnamed: false,
  };
}
