/** Sends a datagram to a client, from the address to which it has sent its own. False: it was dropped. */
export type DatagramReply = (bytes: Uint8Array, address: string, port: number) => boolean;

/** What serves the datagrams of a UDP listener. There is one for each, made when the listener's configuration changes. */
export interface DatagramFilter {
  /** What is under way: sessions, or questions without their answers. */
  readonly sessions: number;
  receive(bytes: Uint8Array, address: string, port: number, reply: DatagramReply): void;
  /** Takes nothing new. Resolves when nothing is under way any more. */
  untilEmpty(): Promise<void>;
  /** Ends all that is. */
  close(): void;
}
