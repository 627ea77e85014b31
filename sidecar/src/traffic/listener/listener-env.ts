import type { Clock } from "@heddle/base";
import type { Connection, OriginalDestination, TicketKeySource } from "@heddle/net";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { AccessLogConfig, ListenerConfig, UdpListenerConfig } from "@heddle/traffic";
import type { NetworkFilterFactory } from "../network/network-filter.ts";
import type { LoadShedder } from "../overload/load-shedder.ts";
import type { LiveSecrets } from "../tls/live-secrets.ts";
import type { ConnectionLimit } from "./connection-limit.ts";
import type { ConnectionLogger } from "./connection-logger.ts";
import type { DatagramFilter } from "./datagram-filter.ts";
import type { DrainOptions } from "./serving-state.ts";

/** What the listeners of one worker need from outside. */
export interface ListenerEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** What a connection's handler has thrown; the connection has been reset. */
  readonly onThrow: (error: unknown) => void;
  readonly makeFilter: NetworkFilterFactory;
  /** What serves the datagrams of a UDP listener. */
  readonly makeDatagramFilter: (listener: ListenerConfig, udp: UdpListenerConfig) => DatagramFilter;
  /** Of a listener's own access logs, one at least. Throws on what cannot be opened. */
  readonly makeConnectionLogger: (configs: readonly AccessLogConfig[]) => ConnectionLogger;
  /** What TLS contexts name. */
  readonly secrets: LiveSecrets;
  /** Keys of session tickets that all workers share. Left out: each TLS context makes its own. */
  readonly tickets?: TicketKeySource;
  readonly shedder: LoadShedder;
  /** Of the connections of one listener, if it has a limit of its own. */
  readonly listenerLimit: (listener: string) => ConnectionLimit | undefined;
  /** Of all downstream connections of the process. */
  readonly connectionLimit: ConnectionLimit;
  /** Where a connection was meant to go. Left out: the kernel is asked. */
  readonly originalDestination?: (connection: Connection) => OriginalDestination | undefined;
  /** How the connections of a chain that is gone are asked to end, and how long they may go on. */
  readonly drain: DrainOptions;
}
