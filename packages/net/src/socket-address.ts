/** Where to connect or to listen: an IP address and port, or the path of a Unix socket. Never a name. */
export type SocketAddress =
  | { readonly type: "socket"; readonly address: string; readonly port: number }
  | { readonly type: "pipe"; readonly path: string; readonly mode?: number | undefined };

/** "127.0.0.1:80", "[::1]:80", or the path. */
export function formatAddress(address: SocketAddress): string {
  if (address.type === "pipe") return address.path;
  return formatHostPort(address.address, address.port);
}

export function formatHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
