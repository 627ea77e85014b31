import { Cidr, type IpWords, isJsonObject, type Json, type JsonObject } from "@heddle/base";
import type { CertificateFacts } from "@heddle/net";
import { asBytes } from "../match/bytes.ts";
import { compileHeaderMatcher } from "../match/header-matcher.ts";
import { readHeaderMatcher } from "../match/read-header-matcher.ts";
import { readStringMatcher } from "../match/read-string-matcher.ts";
import { compileStringMatcher, type StringMatcher } from "../match/string-matcher.ts";
import { compileValueMatcher } from "../match/value-matcher.ts";
import type { AccessSubject } from "./access-subject.ts";
import { IpIndex } from "./ip-index.ts";
import { readValueMatcher } from "./read-value-matcher.ts";
import { below, found, plain, type RuleReader } from "./rule-reader.ts";

/** One condition of a rule. Allocates nothing, save what splits a path or joins bytes. */
export type AccessTest = (subject: AccessSubject) => boolean;

/** What could not be read, and so is refused as a whole. */
export const NEVER: AccessTest = () => false;
export const ALWAYS: AccessTest = () => true;

export function allOf(tests: readonly AccessTest[]): AccessTest {
  if (tests.length === 1) return tests[0]!;
  return (subject) => {
    for (const test of tests) if (!test(subject)) return false;
    return true;
  };
}

export function anyOf(all: readonly AccessTest[]): AccessTest {
  const tests = withIndexes(all);
  if (tests.length === 1) return tests[0]!;
  return (subject) => {
    for (const test of tests) if (test(subject)) return true;
    return false;
  };
}

export function not(test: AccessTest): AccessTest {
  return (subject) => !test(subject);
}

/**
 * `envoy.config.route.v3.HeaderMatcher`. The values of a repeated field are matched one by one, and one is enough: joined they would be
 * a value that no rule names (CVE-2026-26308). An inverted matcher finds no forbidden value among them where it gives access
 * (`grants`), and where it takes access away it is enough that one of them is another.
 */
export function headerTest(json: Json | undefined, path: string, grants: boolean, reader: RuleReader): AccessTest {
  if (reader.scope === "network") return reader.fail(path, "a connection has no headers", NEVER);
  const config = readHeaderMatcher(json ?? {});
  if (!config.ok) return reader.fail(path, config.error, NEVER);
  const { name } = config.value;
  const matcher = compileHeaderMatcher(config.value);
  if (name.startsWith(":") || name === "host") return ({ head }) => head !== undefined && matcher.matches(head);
  const needsAll = config.value.invert && config.value.match.type !== "present" && grants;
  return ({ head }) => {
    if (head === undefined) return false;
    const { fields } = head.headers;
    let found = false;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== name) continue;
      found = true;
      if (matcher.test(fields[i + 1]) !== needsAll) return !needsAll;
    }
    return found ? needsAll : matcher.test(undefined);
  };
}

/** `envoy.type.matcher.v3.PathMatcher`: of the path without query and fragment (CVE-2021-32779). CONNECT has none. */
export function urlPathTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  if (reader.scope === "network") return reader.fail(path, "a connection has no path", NEVER);
  const matcher = stringMatcher(reader.object(json, path)["path"], below(path, "path"), reader);
  return (subject) => {
    const { urlPath } = subject;
    return urlPath !== "" && matcher.test(urlPath);
  };
}

/** `envoy.config.core.v3.CidrRange` (xds.core.v3 has the same fields). As in Envoy a prefix without length is everything. */
export function readCidr(json: Json | undefined, path: string, reader: RuleReader): Cidr | undefined {
  const { addressPrefix, prefixLen = 0 } = reader.object(json, path);
  const cidr = Cidr.parse(`${plain(addressPrefix)}/${plain(prefixLen)}`);
  return cidr.ok ? cidr.value : reader.fail(path, cidr.error, undefined);
}

type AddressOf = (subject: AccessSubject) => IpWords | undefined;

/** A test of an address, which may become one of many together. */
interface RangeTest extends AccessTest {
  readonly range?: Cidr;
  readonly addressOf?: AddressOf;
}

/** `addressOf`: the same function wherever the same address is meant. */
export function ipTest(json: Json | undefined, path: string, reader: RuleReader, addressOf: AddressOf): AccessTest {
  const range = readCidr(json, path, reader);
  return range === undefined ? NEVER : Object.assign(inRanges([range], addressOf), { range, addressOf });
}

/** Whether an address lies in one of the ranges. */
export function inRanges(ranges: readonly Cidr[], addressOf: AddressOf): AccessTest {
  const index = new IpIndex(ranges.map((range) => ({ range, value: true })));
  return (subject) => {
    const address = addressOf(subject);
    return address !== undefined && index.has(address);
  };
}

/** Alternatives with those that ask for ranges of the same address made one: lists of addresses are long. */
function withIndexes(tests: readonly RangeTest[]): readonly AccessTest[] {
  const others: AccessTest[] = [];
  const ranges = new Map<AddressOf, Cidr[]>();
  for (const test of tests) {
    const { range, addressOf } = test;
    if (range === undefined || addressOf === undefined) {
      others.push(test);
      continue;
    }
    const known = ranges.get(addressOf);
    if (known === undefined) ranges.set(addressOf, [range]);
    else known.push(range);
  }
  return [...others, ...[...ranges].map(([addressOf, of]) => inRanges(of, addressOf))];
}

export function serverNameTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const matcher = stringMatcher(json, path, reader);
  return ({ connection }) => matcher.test(connection.serverName ?? "");
}

/** `envoy.type.matcher.v3.MetadataMatcher`, of what filters have left. */
export function metadataTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const fields = reader.object(json, path);
  return valueTest(metadataValue(fields, path, reader), fields, path, reader);
}

/** What filters have left: `filter` and `path` of a `MetadataMatcher`, or of a `DynamicMetadataInput`. */
export function metadataValue(
  { filter, path: segments }: JsonObject,
  path: string,
  reader: RuleReader,
): (subject: AccessSubject) => unknown {
  const namespace = reader.text(filter, below(path, "filter"));
  const at = below(path, "path");
  const keys = reader
    .list(segments, at, 1)
    .map((segment, index) =>
      reader.text(reader.object(segment, `${at}[${index}]`)["key"], below(`${at}[${index}]`, "key")),
    );
  return ({ metadata }) => valueAt(metadata?.get(namespace), keys);
}

/** `value` and `invert` of a `MetadataMatcher`, or of `envoy.extensions.matching.input_matchers.metadata.v3.Metadata`. */
export function valueTest(
  valueIn: (subject: AccessSubject) => unknown,
  { value, invert }: JsonObject,
  path: string,
  reader: RuleReader,
): AccessTest {
  const config = readValueMatcher(value, below(path, "value"), reader);
  if (config === undefined) return NEVER;
  const matches = compileValueMatcher(config);
  const inverted = invert === true;
  return (subject) => matches(valueIn(subject)) !== inverted;
}

function valueAt(map: ReadonlyMap<string, unknown> | undefined, keys: readonly string[]): unknown {
  let value: unknown = map?.get(keys[0]!); // one key at least
  for (let i = 1; i < keys.length; i++) {
    const inner = value as Json | undefined;
    if (!isJsonObject(inner) || !Object.hasOwn(inner, keys[i]!)) return undefined;
    value = inner[keys[i]!];
  }
  return value;
}

/**
 * `Principal.Authenticated`: the verified peer's URI SANs, then its DNS SANs, then its subject. A peer whom nobody vouches for is
 * nobody, also where no name is asked for; there Envoy takes every TLS client. What is no DNS name is no DNS SAN: a trust domain that
 * is federated may be asked for its URIs alone (X.509-SVID §3), and could write another domain's SPIFFE ID there.
 */
export function authenticatedTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const { principalName } = reader.object(json, path);
  if (principalName === undefined) return (subject) => subject.verifiedPeer !== undefined;
  const matcher = stringMatcher(principalName, below(path, "principalName"), reader);
  return (subject) => {
    const peer = subject.verifiedPeer;
    return peer !== undefined && hasName(peer, matcher);
  };
}

function hasName({ uriSans, dnsSans, subject }: CertificateFacts, matcher: StringMatcher): boolean {
  return anyName(uriSans, matcher) || anyDnsName(dnsSans, matcher) || isName(subject, matcher);
}

function anyDnsName(names: readonly string[], matcher: StringMatcher): boolean {
  for (const name of names) if (!/[:/]/.test(name) && isName(name, matcher)) return true;
  return false;
}

export function anyName(names: readonly string[], matcher: StringMatcher): boolean {
  for (const name of names) if (isName(name, matcher)) return true;
  return false;
}

/** A name with a NUL is not what it seems to be (CVE-2025-66220). */
function isName(name: string, matcher: StringMatcher): boolean {
  return !name.includes("\0") && matcher.test(asBytes(name));
}

const NO_MATCHER: StringMatcher = { test: () => false };

export function stringMatcher(json: Json | undefined, path: string, reader: RuleReader): StringMatcher {
  const config = readStringMatcher(json);
  return config.ok ? compileStringMatcher(config.value) : reader.fail(path, config.error, NO_MATCHER);
}

/** A port of `start <= port < end` (`envoy.type.v3.Int32Range`). */
export function portRangeTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const { start = 0, end = 0 } = reader.object(json, path) as JsonObject & { start?: Json; end?: Json };
  if (typeof start !== "number" || typeof end !== "number" || start < 0 || end > 65_536 || start >= end) {
    const message = `found [${found(start)}, ${found(end)}), allowed is 0 <= start < end <= 65536`;
    return reader.fail(path, message, NEVER);
  }
  return ({ connection: { localPort } }) => start <= localPort && localPort < end;
}

export function portTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  if (typeof json !== "number" || json > 65_535) return reader.fail(path, "is no port", NEVER);
  return ({ connection }) => connection.localPort === json && connection.localAddress !== "";
}
