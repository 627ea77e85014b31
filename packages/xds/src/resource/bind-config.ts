import { isIPv4, isIPv6 } from "node:net";
import type { SourceAddress, UpstreamBindConfig } from "@heddle/traffic";
import { type LooseJsonObject, list } from "./encode.ts";
import type { Fields } from "./fields.ts";

/* `envoy.config.core.v3.BindConfig`: where upstream connections come from. */

/** Undefined: it says nothing. */
export function decodeBindConfig(fields: Fields | undefined): UpstreamBindConfig | undefined {
  if (fields === undefined) return undefined;
  const source = fields.message("source_address");
  const extra = fields.messages("extra_source_addresses").map((more) => more.message("address"));
  const further = [...extra, ...fields.messages("additional_source_addresses")];
  const freebind = fields.wrappedFlag("freebind", undefined);
  if (source === undefined) {
    if (further.length > 0) fields.fail("source_address", "must be set where there are further ones");
    return undefined; // nothing is bound, so there is nothing that could be bound freely
  }
  const sourceAddresses = [source, ...further].flatMap((address) => (address ? [decodeSource(address)] : []));
  // Envoy's rules: one further address at most, and of the other family.
  if (further.length > 1) fields.fail("extra_source_addresses", `found ${further.length}, allowed is at most 1`);
  if (sourceAddresses.length === 2 && isIPv6(sourceAddresses[0]!.address) === isIPv6(sourceAddresses[1]!.address))
    fields.fail("extra_source_addresses", "has to be of the other family than source_address");
  return { sourceAddresses, ...(freebind !== undefined && { freebind }) };
}

function decodeSource(fields: Fields): SourceAddress {
  const address = fields.text("address");
  if (!isIPv4(address) && !isIPv6(address))
    fields.fail("address", `found ${JSON.stringify(address)}, allowed is an IP address`);
  if (fields.enumName("protocol") !== "TCP") fields.fail("protocol", "has to be TCP");
  return { address, port: fields.number("port_value") };
}

export function encodeBindConfig(config: UpstreamBindConfig | undefined): LooseJsonObject | undefined {
  if (config === undefined) return undefined;
  const [first, ...further] = config.sourceAddresses.map(({ address, port }) => ({ address, port_value: port }));
  return {
    source_address: first,
    extra_source_addresses: list(further.map((address) => ({ address }))),
    freebind: config.freebind,
  };
}
