import type { Clock, TimerWheel } from "@heddle/base";
import type { DatagramConnection, DatagramEvents, DialCallbacks, Dialling, SocketAddress } from "@heddle/net";
import type { MetricScope } from "@heddle/telemetry";

/** What answering DNS needs from outside. */
export interface DnsEnv {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly metrics: MetricScope;
  /** 0 to 65,535, by nobody to be foreseen (RFC 5452 §9.2). */
  readonly randomId: () => number;
  /** The content of resolv.conf; "" where there is none. */
  readonly readResolvConf: () => string;
  /** Makes a socket that exchanges datagrams with that address alone, from a port that the system draws. */
  readonly openDatagrams: (
    address: InternetAddress,
    events: DatagramEvents,
  ) => Pick<DatagramConnection, "send" | "close">;
  readonly dial: (address: InternetAddress, timeoutMs: number, callbacks: DialCallbacks) => Dialling;
  /** The addresses of the endpoints of a cluster; undefined: there is no such cluster. */
  readonly endpointsOf: (cluster: string) => readonly InternetAddress[] | undefined;
}

export type InternetAddress = Extract<SocketAddress, { readonly type: "socket" }>;
