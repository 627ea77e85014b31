import type { ListenerConfig } from "@heddle/traffic";

/** The listener's name in statistics. */
export function statPrefixOf({ statPrefix, address }: ListenerConfig): string {
  if (statPrefix !== "") return statPrefix;
  return address.type === "pipe" ? address.path : `${address.address}:${address.port}`;
}
