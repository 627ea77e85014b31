import type { Json } from "@heddle/base";
import type { Address } from "@heddle/traffic";

/** "10.0.0.1:80", "[::1]:80", "/run/a.sock". */
export function addressText(address: Address): string {
  if (address.type === "pipe") return address.path;
  return address.address.includes(":") ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

export function addressJson(address: Address): Json {
  return address.type === "pipe"
    ? { pipe: { path: address.path } }
    : { socket_address: { address: address.address, port_value: address.port } };
}
