import { formatIp, parseIp } from "@heddle/base";
import { formatHostPort } from "@heddle/net";
import type { Address, ListenerConfig } from "@heddle/traffic";

/** An address on which a listener listens, and the name under which control thread and workers speak of it. */
export interface ListenPlace {
  readonly key: string;
  readonly address: Address;
}

/**
 * Where a listener listens. The key is the address itself, so that a listener which is replaced by one of another name at
 * the same address keeps the socket. A port that the kernel chooses belongs to its listener alone.
 */
export function listenPlaces(listener: ListenerConfig): readonly ListenPlace[] {
  return [listener.address, ...listener.additionalAddresses].map((address, index) => {
    const free = address.type === "socket" && address.port === 0;
    const where = free ? `${listener.name} ${index}` : addressText(address);
    return { key: listener.udp === undefined ? where : `${DATAGRAMS}${where}`, address };
  });
}

/** Without `bind_to_port` it has no socket: its addresses are those for which others hand connections over. */
export function isBound({ bindToPort }: ListenerConfig): boolean {
  return bindToPort !== false;
}

/** Whether datagrams come there, and no connections. */
export function takesDatagrams(key: string): boolean {
  return key.startsWith(DATAGRAMS);
}

/** However a configuration writes an address, the kernel has one text for it. */
function addressText(address: Address): string {
  if (address.type === "pipe") return address.path;
  const words = parseIp(address.address);
  return formatHostPort(words === undefined ? address.address : formatIp(words), address.port);
}

const DATAGRAMS = "udp ";
