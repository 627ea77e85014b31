import type { DatagramConnection, DatagramEvents, SocketAddress } from "@heddle/net";
import type { TcpEnv } from "./tcp-env.ts";

/** What UDP proxies need from outside. */
export interface UdpEnv extends TcpEnv {
  /** Makes a socket that exchanges datagrams with that address alone. `from`: its own; undefined: the system chooses. */
  readonly openDatagrams: (
    address: SocketAddress & { type: "socket" },
    events: DatagramEvents,
    from: Pick<SocketAddress & { type: "socket" }, "address" | "port"> | undefined,
  ) => Pick<DatagramConnection, "send" | "close">;
}
