import { type IpWords, isLoopback, type Json, sameIp } from "@heddle/base";
import type { CertificateFacts } from "@heddle/net";
import { asBytes } from "../match/bytes.ts";
import { headerValues } from "../match/header-matcher.ts";
import { parseQuery } from "../match/query-matcher.ts";
import type { AccessSubject } from "./access-subject.ts";
import { metadataValue } from "./access-tests.ts";
import { openExtension } from "./read-permission.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/**
 * What a matcher looks at (`envoy.extensions.matching.common_inputs`). Values are bytes as latin1. There is more than one
 * where a header or a parameter is repeated: then one that fits is enough, so that none can hide behind another
 * (CVE-2026-26308), and a header's joined values, which are what Envoy looks at, are one of them.
 */
export type MatchInput =
  | {
      readonly type: "values";
      readonly valuesOf: (subject: AccessSubject) => readonly string[];
      /** Where there are several, the last one is all of them joined. */
      readonly joins?: true;
    }
  | {
      readonly type: "address";
      readonly valuesOf: (subject: AccessSubject) => readonly string[];
      readonly addressOf: (subject: AccessSubject) => IpWords | undefined;
    }
  /** What filters have left: of any type, for the matcher of metadata alone. */
  | { readonly type: "metadata"; readonly valueOf: (subject: AccessSubject) => unknown }
  /** All that there is, for CEL alone. */
  | { readonly type: "attributes" };

/** Undefined: there is none such, and an issue says so. */
export function readInput(json: Json | undefined, path: string, reader: RuleReader): MatchInput | undefined {
  const { type, fields } = openExtension(json, path, reader);
  const network = NETWORK_INPUTS.get(type);
  if (network !== undefined) return network;
  const at = below(path, "typedConfig");
  switch (type) {
    case HEADER_INPUT: {
      if (reader.scope === "network") return reader.fail(path, "a connection has no headers", undefined);
      const name = reader.text(fields["headerName"], below(at, "headerName")).toLowerCase();
      return {
        type: "values",
        joins: true,
        valuesOf: ({ head }) => (head === undefined ? NONE : withJoined(headerValues(head, name))),
      };
    }
    case QUERY_INPUT: {
      if (reader.scope === "network") return reader.fail(path, "a connection has no query", undefined);
      const name = asBytes(reader.text(fields["queryParam"], below(at, "queryParam")));
      return { type: "values", valuesOf: ({ head }) => (head === undefined ? NONE : parameters(head.path, name)) };
    }
    case METADATA_INPUT:
      return { type: "metadata", valueOf: metadataValue(fields, at, reader) };
    case CEL_INPUT:
      return { type: "attributes" };
    default:
      return reader.fail(path, `there is no input ${type}; known are ${KNOWN.join(", ")}`, undefined);
  }
}

const NONE: readonly string[] = [];
const NETWORK = "envoy.extensions.matching.common_inputs.network.v3";
const SSL = "envoy.extensions.matching.common_inputs.ssl.v3";
const HEADER_INPUT = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput";
const QUERY_INPUT = "envoy.type.matcher.v3.HttpRequestQueryParamMatchInput";
const METADATA_INPUT = `${NETWORK}.DynamicMetadataInput`;
const CEL_INPUT = "xds.type.matcher.v3.HttpAttributesCelMatchInput";

const NETWORK_INPUTS: ReadonlyMap<string, MatchInput> = new Map<string, MatchInput>([
  [
    `${NETWORK}.DestinationIPInput`,
    address(
      ({ connection }) => connection.localAddress,
      (s) => s.destinationIp,
    ),
  ],
  [
    `${NETWORK}.SourceIPInput`,
    address(
      ({ source }) => source.remoteAddress,
      (s) => s.sourceIp,
    ),
  ],
  [
    `${NETWORK}.DirectSourceIPInput`,
    address(
      ({ connection }) => connection.directRemoteAddress,
      (s) => s.directRemoteIp,
    ),
  ],
  [`${NETWORK}.DestinationPortInput`, text(({ connection }) => port(connection.localPort))],
  [`${NETWORK}.SourcePortInput`, text(({ source }) => port(source.remotePort))],
  [`${NETWORK}.SourceTypeInput`, text(sourceType)],
  [`${NETWORK}.ServerNameInput`, text(({ connection }) => connection.serverName)],
  [`${NETWORK}.TransportProtocolInput`, text(({ tls }) => (tls === undefined ? "raw_buffer" : "tls"))],
  [`${NETWORK}.ApplicationProtocolInput`, text(applicationProtocols)],
  [`${SSL}.UriSanInput`, text(({ verifiedPeer }) => names(verifiedPeer?.uriSans))],
  [`${SSL}.DnsSanInput`, text(({ verifiedPeer }) => names(verifiedPeer?.dnsSans))],
  [`${SSL}.SubjectInput`, text(({ verifiedPeer }) => subject(verifiedPeer))],
]);

const KNOWN = [...NETWORK_INPUTS.keys(), HEADER_INPUT, QUERY_INPUT, METADATA_INPUT, CEL_INPUT];

function text(textOf: (subject: AccessSubject) => string | undefined): MatchInput {
  return {
    type: "values",
    valuesOf(subject) {
      const value = textOf(subject);
      return value === undefined || value === "" ? NONE : [value];
    },
  };
}

function address(
  textOf: (subject: AccessSubject) => string,
  addressOf: (subject: AccessSubject) => IpWords | undefined,
): MatchInput {
  return {
    type: "address",
    addressOf,
    valuesOf(subject) {
      const value = textOf(subject);
      return value === "" ? NONE : [value];
    },
  };
}

function port(number: number): string | undefined {
  return number === 0 ? undefined : String(number);
}

/** "local" for who is on this host, as in Envoy; there is no other value. */
function sourceType({ sourceIp, destinationIp, source }: AccessSubject): string | undefined {
  if (source.remoteAddress === "") return "local"; // a Unix socket
  if (sourceIp === undefined) return undefined;
  const here = isLoopback(sourceIp) || (destinationIp !== undefined && sameIp(sourceIp, destinationIp));
  return here ? "local" : undefined;
}

/** As Envoy writes them: "'h2','http/1.1'". */
function applicationProtocols({ source }: AccessSubject): string | undefined {
  const protocols = source.sniffed?.applicationProtocols ?? [];
  return protocols.length === 0 ? undefined : protocols.map((protocol) => `'${protocol}'`).join(",");
}

/** Several names are joined, as in Envoy. One with a NUL in it is not what it seems to be. */
function names(sans: readonly string[] | undefined): string | undefined {
  if (sans === undefined || sans.some((san) => san.includes("\0"))) return undefined;
  return asBytes(sans.join(","));
}

function subject(peer: CertificateFacts | undefined): string | undefined {
  return peer === undefined || peer.subject.includes("\0") ? undefined : asBytes(peer.subject);
}

function withJoined(values: readonly string[]): readonly string[] {
  return values.length < 2 ? values : [...values, values.join(",")];
}

function parameters(path: string, name: string): readonly string[] {
  const query = parseQuery(path);
  const values: string[] = [];
  for (let i = 0; i < query.length; i += 2) if (query[i] === name) values.push(query[i + 1]!); // pairs
  return values;
}
