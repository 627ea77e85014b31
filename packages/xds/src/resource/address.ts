import { isIPv4, isIPv6 } from "node:net";
import type { Address } from "@heddle/traffic";
import type { LooseJsonObject } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** `envoy.config.core.v3.Address`. A broken one is reported and stands for nothing. */
export function decodeAddress(fields: Fields | undefined): Address {
  const pipe = fields?.message("pipe");
  if (pipe !== undefined) {
    const mode = pipe.number("mode");
    return { type: "pipe", path: pipe.text("path"), mode: mode === 0 ? undefined : mode };
  }
  const socket = fields?.message("socket_address");
  return { type: "socket", address: socket?.text("address") ?? "", port: socket?.number("port_value") ?? 0 };
}

export function encodeAddress(address: Address): LooseJsonObject {
  return address.type === "pipe"
    ? { pipe: { path: address.path, mode: address.mode } }
    : { socket_address: { address: address.address, port_value: address.port } };
}

/** Envoy takes no names for addresses to listen on, for STATIC and for EDS endpoints: it resolves nothing there. */
export function requireIpAddress(address: Address, fields: Fields): void {
  if (address.type === "pipe" || !fields.has("socket_address")) return;
  if (isIPv4(address.address) || isIPv6(address.address)) return;
  fields.fail("socket_address.address", `found ${JSON.stringify(address.address)}, allowed is an IP address`);
}

/** `envoy.config.core.v3.CidrRange` as "10.0.0.0/8". `prefix_len` not set means 0, as in Envoy. */
export function decodeCidr(fields: Fields): string {
  const prefix = fields.text("address_prefix");
  const length = fields.wrappedNumber("prefix_len", 0);
  const longest = isIPv4(prefix) ? 32 : isIPv6(prefix) ? 128 : undefined;
  if (longest === undefined) {
    fields.fail("address_prefix", `found ${JSON.stringify(prefix)}, allowed is an IP address`);
  } else if (length > longest) {
    fields.fail("prefix_len", `found ${length}, allowed for ${prefix} is at most ${longest}`);
  }
  return `${prefix}/${length}`;
}

export function encodeCidr(range: string): LooseJsonObject {
  const slash = range.lastIndexOf("/");
  return { address_prefix: range.slice(0, slash), prefix_len: Number(range.slice(slash + 1)) };
}
