import type { TimerWheel } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import { GatedConnection } from "./gated-connection.ts";
import type { ConnectionEnd, NetworkFilter, Prepared, ServedConnection } from "./network-filter.ts";
import type { NetworkGate } from "./network-gate.ts";

/** The filter of a chain that has gates: who passes all of them, in their order, is served by the last filter. */
export class GatedFilter implements NetworkFilter {
  readonly gates: readonly NetworkGate[];
  readonly filter: NetworkFilter;
  readonly wheel: TimerWheel;
  readonly drainGradually?: () => void;

  constructor(gates: readonly NetworkGate[], filter: NetworkFilter, wheel: TimerWheel) {
    this.gates = gates;
    this.filter = filter;
    this.wheel = wheel;
    if (filter.drainGradually !== undefined) this.drainGradually = () => filter.drainGradually?.();
  }

  serve(
    connection: Connection,
    info: DownstreamInfo,
    onClosed: (end?: ConnectionEnd) => void,
    prepared?: Prepared,
  ): ServedConnection {
    const gated = new GatedConnection(this, connection, info, onClosed, prepared);
    gated.begin();
    return gated;
  }

  /** Nothing is begun for whom a gate would deny, or has to ask somebody about. */
  prepare(info: DownstreamInfo, onSpoken: () => void): Prepared | undefined {
    if (!this.gates.every((gate) => gate.foresees?.(info) === true)) return undefined;
    return this.filter.prepare?.(info, onSpoken);
  }

  close(): void {
    for (const gate of this.gates) gate.close?.();
    this.filter.close?.();
  }
}
