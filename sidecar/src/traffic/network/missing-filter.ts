import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import type { Counter } from "@heddle/telemetry";
import type { NetworkFilter, ServedConnection } from "./network-filter.ts";

/** Stands for a chain one of whose filters has no configuration, neither by ECDS nor by default: closes what it gets, as Envoy does. */
export class MissingFilter implements NetworkFilter {
  readonly #closed: Counter;

  constructor(closed: Counter) {
    this.#closed = closed;
  }

  serve(connection: Connection, _info: DownstreamInfo, onClosed: () => void): ServedConnection {
    this.#closed.add();
    connection.start({
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => onClosed(),
    });
    connection.destroy();
    return { drain: () => undefined, destroy: () => connection.destroy() };
  }
}
