const VIRTUAL_HOSTS_TAG = (2 << 3) | 2; // RouteConfiguration.virtual_hosts, length-delimited

/**
 * The bytes of a route configuration, put together from those of one without virtual hosts and those of its virtual hosts:
 * of a message's repeated field each element stands in the bytes by itself (protobuf encoding, "Repeated elements"). A
 * virtual host is then encoded once, however many route configurations hold it.
 *
 * @param head in the order of fields, so with a name alone, the bytes are those that encoding the whole would give.
 */
export function joinRouteConfiguration(head: Uint8Array, virtualHosts: readonly Uint8Array[]): Uint8Array {
  let size = head.length;
  for (const { length } of virtualHosts) size += 1 + varintSize(length) + length;
  const bytes = new Uint8Array(size);
  bytes.set(head);
  let at = head.length;
  for (const virtualHost of virtualHosts) {
    bytes[at++] = VIRTUAL_HOSTS_TAG;
    let rest = virtualHost.length;
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes[at++] = (rest & 127) | 128;
    bytes[at++] = rest;
    bytes.set(virtualHost, at);
    at += virtualHost.length;
  }
  return bytes;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}
