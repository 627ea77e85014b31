import type { TimerWheel } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import { GatedConnection } from "./gated-connection.ts";
import type { ConnectionEnd, NetworkFilter, ServedConnection } from "./network-filter.ts";
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

  serve(connection: Connection, info: DownstreamInfo, onClosed: (end?: ConnectionEnd) => void): ServedConnection {
    const gated = new GatedConnection(this, connection, info, onClosed);
    gated.begin();
    return gated;
  }

  close(): void {
    for (const gate of this.gates) gate.close?.();
    this.filter.close?.();
  }
}
