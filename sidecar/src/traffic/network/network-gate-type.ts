import type { Json, Result } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import type { NetworkGate } from "./network-gate.ts";
import type { TcpEnv } from "./tcp-env.ts";

/** What a gate gets besides its own configuration. */
export interface GateContext {
  /** The filter's name in the chain. */
  readonly name: string;
  readonly listener: string;
  readonly env: TcpEnv;
}

/**
 * A kind of network filter that stands before the last one of a chain. `parse` runs where configuration is checked, so a bad
 * configuration is a NACK, and again in each worker.
 */
export interface NetworkGateType<Config = unknown> {
  /** Envoy's canonical name: "envoy.filters.network.rbac". */
  readonly name: string;
  /** Full message type of its configuration. */
  readonly configType: string;
  parse(config: Json): Result<Config, readonly ConfigIssue[]>;
  /** Loads what `create` needs, where that is too much for those who do not use it. Awaited before `create`, each time. */
  load?(): Promise<void>;
  create(config: Config, context: GateContext): NetworkGate;
}
