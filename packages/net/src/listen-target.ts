import type { Result } from "@heddle/base";
import type { SocketAddress } from "./socket-address.ts";

/** What a traffic worker listens on. Plain data: it crosses to the worker in a message. */
export type ListenTarget =
  /** A descriptor that already listens. It belongs to whoever gets this, and is closed with its acceptor. */
  | { readonly type: "descriptor"; readonly descriptor: number }
  /** Without shared descriptors: the worker opens a socket of its own, with SO_REUSEPORT where others do so too. */
  | { readonly type: "address"; readonly address: SocketAddress; readonly reusePort: boolean };

/** A listening address of the process. It stays open until `close`, whatever workers come and go. */
export interface ListenSocket {
  /** As asked for, with the port that the kernel chose where 0 was asked for. */
  readonly address: SocketAddress;
  /**
   * A target of its own for one worker, or undefined if no further worker can listen here, or the process has no descriptors
   * left. `slot` is the worker's place, which another takes over when it dies: datagrams have a queue for each.
   */
  newTarget(slot?: number): ListenTarget | undefined;
  /** Brings an open socket in line with options that may change while it is open. The error says why it cannot be. */
  configure?(options: ListenOptions): Result<void, string>;
  close(): void;
}

export interface ListenOptions {
  /** Connections that wait to be accepted (Envoy's `tcp_backlog_size`); undefined: as many as the kernel allows. */
  readonly backlog: number | undefined;
  /** UDP. */
  readonly datagrams?: boolean;
  /** It takes connections to addresses that are not ours, which rules of the kernel give it (TPROXY). */
  readonly transparent?: boolean;
  /** Its address need not be one of ours. */
  readonly freebind?: boolean;
}

/** More than any kernel allows by default; it cuts down to its own limit (`net.core.somaxconn`). */
export const MAX_BACKLOG = 65_535;
