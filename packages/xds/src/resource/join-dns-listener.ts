import type { DnsDomain, ListenerConfig } from "@heddle/traffic";
import { DNS_FILTER, encodeDnsFilter, encodeDomain } from "./dns-filter.ts";
import { encodeJson } from "./encode.ts";
import type { ResourceType } from "./resource-type.ts";

/** One entry of a DNS table, as it stands in whatever table holds it. */
export function encodeDnsDomain(domain: DnsDomain): Uint8Array {
  return encodeJson("envoy.data.dns.v3.DnsTable.DnsVirtualDomain", encodeDomain(domain));
}

/**
 * The bytes of a listener with a DNS filter, put together from those of its table's entries: these are then encoded once, however
 * many tables hold them. To encode the whole of 1,000 services takes 75 ms, and each namespace has a table of its own.
 *
 * @param config its own table is left out.
 */
export function joinDnsListener(
  type: ResourceType<ListenerConfig>,
  config: ListenerConfig,
  domains: readonly Uint8Array[],
): Uint8Array {
  const { udp, ...rest } = config;
  if (udp?.dns === undefined) throw new TypeError(`the listener ${config.name} has no DNS filter`);
  const { server_config: _, ...filter } = encodeDnsFilter({ ...udp.dns, domains: [] });
  const table = nested(2, domains); // DnsTable.virtual_domains
  const retries = udp.dns.client?.retries ?? 0;
  const server = field(1, concat([...(retries > 0 ? [Uint8Array.of(0x08, retries)] : []), table])); // inline_dns_table
  const filterBytes = concat([encodeJson(DNS_FILTER, filter), field(2, server)]); // server_config
  const any = concat([text(1, `type.googleapis.com/${DNS_FILTER}`), field(2, filterBytes)]);
  const listenerFilter = concat([text(1, "envoy.filters.udp.dns_filter"), field(3, any)]);
  // As any UDP listener, but for the filter. What is written later counts together with what stands before it.
  const head = type.encode({ ...rest, udp: { ...udp, dns: { ...udp.dns, domains: [] } } });
  return concat([withoutListenerFilters(head), field(9, listenerFilter)]);
}

/** Field 9 of the message, wherever it stands, is left out. */
function withoutListenerFilters(message: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  for (let at = 0; at < message.length; ) {
    const start = at;
    const [tag, afterTag] = readVarint(message, at);
    const wire = tag & 7;
    if (wire === 2) {
      const [length, from] = readVarint(message, afterTag);
      at = from + length;
    } else if (wire === 0) {
      at = readVarint(message, afterTag)[1];
    } else {
      at = afterTag + (wire === 1 ? 8 : 4);
    }
    if (tag >> 3 !== 9) kept.push(message.subarray(start, at));
  }
  return concat(kept);
}

function nested(number: number, messages: readonly Uint8Array[]): Uint8Array {
  return concat(messages.map((message) => field(number, message)));
}

/** A field of type 2: a message, bytes or text. Numbers here are below 16, so that the tag is one byte. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return concat([Uint8Array.of((number << 3) | 2, ...varint(bytes.length)), bytes]);
}

function text(number: number, value: string): Uint8Array {
  return field(number, Buffer.from(value));
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return bytes;
}

function readVarint(bytes: Uint8Array, start: number): readonly [value: number, end: number] {
  let value = 0;
  let at = start;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++] ?? 0; // of our own encoder: it is complete
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}
