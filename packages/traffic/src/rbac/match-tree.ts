import type { Cidr, IpWords, Json } from "@heddle/base";
import { asBytes } from "../match/bytes.ts";
import type { AccessSubject } from "./access-subject.ts";
import {
  type AccessTest,
  allOf,
  anyOf,
  inRanges,
  NEVER,
  not,
  readCidr,
  stringMatcher,
  valueTest,
} from "./access-tests.ts";
import { IpIndex } from "./ip-index.ts";
import { type MatchInput, readInput } from "./match-inputs.ts";
import { readCelMatcher } from "./read-condition.ts";
import { openExtension } from "./read-permission.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/**
 * A matcher, compiled: the action that a subject comes to, or undefined for none.
 *
 * A matcher inside another that comes to no action has not matched: the search goes on behind it. An action with
 * `keep_matching` is passed by likewise: nothing here does more than one (xds/type/matcher/v3/matcher.proto).
 */
export type MatchNode<Action> = (subject: AccessSubject) => Action | undefined;

export type ReadAction<Action> = (json: Json | undefined, path: string) => Action;

/** What actions of matchers have in common: whether they give access. */
interface Granting {
  readonly allowed: boolean;
}

/** `xds.type.matcher.v3.Matcher` */
export function readMatcher<Action extends Granting>(
  json: Json | undefined,
  path: string,
  reader: RuleReader,
  readAction: ReadAction<Action>,
): MatchNode<Action> {
  const fields = reader.object(json, path);
  const { onNoMatch, matcherList, matcherTree, ...unknown } = fields;
  for (const name of Object.keys(unknown)) reader.fail(below(path, name), "is not known", undefined);
  if (matcherList !== undefined && matcherTree !== undefined)
    reader.fail(path, "found matcherList and matcherTree, needed is one of them", undefined);
  const nodes: MatchNode<Action>[] = [];
  const parts = { reader, readAction };
  if (matcherList !== undefined) nodes.push(...readList(matcherList, below(path, "matcherList"), parts));
  if (matcherTree !== undefined) nodes.push(readTree(matcherTree, below(path, "matcherTree"), parts));
  if (onNoMatch !== undefined) nodes.push(readOnMatch(onNoMatch, below(path, "onNoMatch"), parts));
  return firstOf(nodes);
}

interface Parts<Action extends Granting> {
  readonly reader: RuleReader;
  readonly readAction: ReadAction<Action>;
}

function firstOf<Action>(nodes: readonly MatchNode<Action>[]): MatchNode<Action> {
  if (nodes.length === 1) return nodes[0]!;
  return (subject) => {
    for (const node of nodes) {
      const action = node(subject);
      if (action !== undefined) return action;
    }
    return undefined;
  };
}

/** `Matcher.OnMatch` */
function readOnMatch<Action extends Granting>(
  json: Json | undefined,
  path: string,
  parts: Parts<Action>,
): MatchNode<Action> {
  const { reader, readAction } = parts;
  const fields = reader.object(json, path);
  const kind = reader.choice(fields, path, ["matcher", "action"], ["keepMatching"]);
  const at = below(path, kind ?? "");
  let node: MatchNode<Action> = () => undefined;
  if (kind === "matcher") node = reader.deeper(at, node, () => readMatcher(fields[kind], at, reader, readAction));
  else if (kind === "action") {
    const action = readAction(fields[kind], at);
    node = () => action;
  }
  return fields["keepMatching"] === true ? () => undefined : node;
}

function readList<Action extends Granting>(
  json: Json,
  path: string,
  parts: Parts<Action>,
): readonly MatchNode<Action>[] {
  const { reader } = parts;
  const at = below(path, "matchers");
  return reader.list(reader.object(json, path)["matchers"], at, 1).map((item, index) => {
    const { predicate, onMatch } = reader.object(item, `${at}[${index}]`);
    const test = readPredicate(predicate, below(`${at}[${index}]`, "predicate"), reader);
    const node = readOnMatch(onMatch, below(`${at}[${index}]`, "onMatch"), parts);
    return (subject) => (test(subject) ? node(subject) : undefined);
  });
}

/** `MatcherList.Predicate` */
function readPredicate(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const fields = reader.object(json, path);
  const kind = reader.choice(fields, path, ["singlePredicate", "orMatcher", "andMatcher", "notMatcher"]);
  if (kind === undefined) return NEVER;
  const value = fields[kind];
  const at = below(path, kind);
  if (kind === "singlePredicate") return readSingle(value, at, reader);
  if (kind === "notMatcher") return not(reader.deeper(at, NEVER, () => readPredicate(value, at, reader)));
  const list = below(at, "predicate");
  const tests = reader.deeper(at, [], () =>
    reader
      .list(reader.object(value, at)["predicate"], list, 2)
      .map((item, index) => readPredicate(item, `${list}[${index}]`, reader)),
  );
  return kind === "andMatcher" ? allOf(tests) : anyOf(tests);
}

const IP = "envoy.extensions.matching.input_matchers.ip.v3.Ip";
const CEL = "xds.type.matcher.v3.CelMatcher";
const METADATA = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata";

/** `Predicate.SinglePredicate` */
function readSingle(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const fields = reader.object(json, path);
  const input = readInput(fields["input"], below(path, "input"), reader);
  const kind = reader.choice(fields, path, ["valueMatch", "customMatch"], ["input"]);
  if (input === undefined || kind === undefined) return NEVER;
  const value = fields[kind];
  const at = below(path, kind);
  if (kind === "customMatch") {
    const { type, fields: config } = openExtension(value, at, reader);
    const typed = below(at, "typedConfig");
    if (type === CEL && input.type === "attributes") return readCelMatcher(config, typed, reader);
    if (type === IP && input.type === "address")
      return readRanges(config["cidrRanges"], typed, reader, input.addressOf);
    if (type === METADATA && input.type === "metadata") return valueTest(input.valueOf, config, typed, reader);
    return reader.fail(at, `there is no matcher ${type} for that input`, NEVER);
  }
  if (input.type === "attributes") return reader.fail(at, `needed is a ${CEL}`, NEVER);
  if (input.type === "metadata") return reader.fail(at, `needed is a ${METADATA}`, NEVER);
  const matcher = stringMatcher(value, at, reader);
  return (subject) => {
    for (const candidate of input.valuesOf(subject)) if (matcher.test(candidate)) return true;
    return false;
  };
}

function readRanges(
  json: Json | undefined,
  path: string,
  reader: RuleReader,
  addressOf: (subject: AccessSubject) => IpWords | undefined,
): AccessTest {
  const at = below(path, "cidrRanges");
  const ranges = reader.list(json, at, 1).flatMap((range, index) => readCidr(range, `${at}[${index}]`, reader) ?? []);
  return inRanges(ranges, addressOf);
}

const IP_TREE = "xds.type.matcher.v3.IPMatcher";
const NAME_TREE = "xds.type.matcher.v3.ServerNameMatcher";

/** `Matcher.MatcherTree` */
function readTree<Action extends Granting>(json: Json, path: string, parts: Parts<Action>): MatchNode<Action> {
  const { reader } = parts;
  const fields = reader.object(json, path);
  const input = readInput(fields["input"], below(path, "input"), reader);
  const kind = reader.choice(fields, path, ["exactMatchMap", "prefixMatchMap", "customMatch"], ["input"]);
  if (input === undefined || kind === undefined) return () => undefined;
  const value = fields[kind];
  const at = below(path, kind);
  if (input.type === "attributes") return reader.fail(at, `an input for ${CEL} alone`, () => undefined);
  if (input.type === "metadata") return reader.fail(at, `an input for ${METADATA} alone`, () => undefined);
  if (kind !== "customMatch") {
    const map = readMap(value, at, parts);
    const find = kind === "exactMatchMap" ? exactly(map) : byPrefix(map);
    return (subject) => ofAll(input, find, subject);
  }
  const { type, fields: config } = openExtension(value, at, reader);
  const typed = below(at, "typedConfig");
  if (type === IP_TREE && input.type === "address") return readIpTree(config["rangeMatchers"], typed, parts, input);
  if (type === NAME_TREE) return readNameTree(config["domainMatchers"], typed, parts, input.valuesOf);
  return reader.fail(at, `there is no matcher ${type} for that input`, () => undefined);
}

/**
 * What several values of one name come to together. None may be refused. For the rest a header's values count as they are joined,
 * which is what Envoy looks at and stands last here, and of a parameter's each has to be given access: a value that a
 * client adds to the one that a proxy before us has set must not open what that one does not.
 */
function ofAll<Action extends Granting>(
  input: Exclude<MatchInput, { readonly type: "attributes" | "metadata" }>,
  find: Find<Action>,
  subject: AccessSubject,
): Action | undefined {
  let all = true;
  let last: Action | undefined;
  for (const value of input.valuesOf(subject)) {
    last = find(value, subject);
    if (last?.allowed === false) return last;
    if (last === undefined) all = false;
  }
  return all || (input.type === "values" && input.joins === true) ? last : undefined;
}

type Nodes<Action> = ReadonlyMap<string, MatchNode<Action>>;
type Find<Action> = (value: string, subject: AccessSubject) => Action | undefined;

function readMap<Action extends Granting>(json: Json | undefined, path: string, parts: Parts<Action>): Nodes<Action> {
  const { reader } = parts;
  const at = below(path, "map");
  const entries = Object.entries(reader.object(reader.object(json, path)["map"], at));
  if (entries.length === 0) reader.fail(at, "holds nothing", undefined);
  return new Map(
    entries.map(([key, onMatch]) => [asBytes(key), readOnMatch(onMatch, `${at}[${JSON.stringify(key)}]`, parts)]),
  );
}

function exactly<Action>(map: Nodes<Action>): Find<Action> {
  return (value, subject) => map.get(value)?.(subject);
}

/** The longest prefix first; where it comes to nothing, the next shorter one. */
function byPrefix<Action>(map: Nodes<Action>): Find<Action> {
  const longest = [...map].sort(([a], [b]) => b.length - a.length);
  return (value, subject) => {
    for (const [prefix, node] of longest) {
      const action = value.startsWith(prefix) ? node(subject) : undefined;
      if (action !== undefined) return action;
    }
    return undefined;
  };
}

interface RangeNode<Action extends Granting> {
  readonly node: MatchNode<Action>;
  /** Where it comes to nothing, wider ranges are not asked. */
  readonly exclusive: boolean;
}

/** `xds.type.matcher.v3.IPMatcher`: the narrowest range counts; where it comes to nothing, the next wider one. */
function readIpTree<Action extends Granting>(
  json: Json | undefined,
  path: string,
  parts: Parts<Action>,
  { addressOf }: Extract<MatchInput, { readonly type: "address" }>,
): MatchNode<Action> {
  const { reader } = parts;
  const at = below(path, "rangeMatchers");
  const entries = reader.list(json, at, 1).flatMap((item, index): { range: Cidr; value: RangeNode<Action> }[] => {
    const { ranges, onMatch, exclusive } = reader.object(item, `${at}[${index}]`);
    const inner = below(`${at}[${index}]`, "ranges");
    const node = readOnMatch(onMatch, below(`${at}[${index}]`, "onMatch"), parts);
    return reader
      .list(ranges, inner, 1)
      .flatMap((range, i) => readCidr(range, `${inner}[${i}]`, reader) ?? [])
      .map((range) => ({ range, value: { node, exclusive: exclusive === true } }));
  });
  const ranges = new IpIndex(entries);
  return (subject) => {
    const found = addressOf(subject);
    if (found === undefined) return undefined;
    for (const { node, exclusive } of ranges.find(found)) {
      const action = node(subject);
      if (action !== undefined || exclusive) return action;
    }
    return undefined;
  };
}

/** `xds.type.matcher.v3.ServerNameMatcher`: the name itself, then "*.b.c" from the longest, then "*". */
function readNameTree<Action extends Granting>(
  json: Json | undefined,
  path: string,
  parts: Parts<Action>,
  valuesOf: (subject: AccessSubject) => readonly string[],
): MatchNode<Action> {
  const { reader } = parts;
  const at = below(path, "domainMatchers");
  const nodes = new Map<string, MatchNode<Action>>();
  for (const [index, item] of reader.list(json, at, 1).entries()) {
    const { domains, onMatch } = reader.object(item, `${at}[${index}]`);
    const inner = below(`${at}[${index}]`, "domains");
    const node = readOnMatch(onMatch, below(`${at}[${index}]`, "onMatch"), parts);
    for (const [i, domain] of reader.list(domains, inner, 1).entries()) {
      const name = reader.text(domain, `${inner}[${i}]`).toLowerCase();
      if (name !== "*" && name.replace(/^\*\./, "").includes("*"))
        reader.fail(`${inner}[${i}]`, `found ${JSON.stringify(domain)}, allowed are "a.b", "*.b" and "*"`, undefined);
      if (nodes.has(name)) reader.fail(`${inner}[${i}]`, `${JSON.stringify(domain)} stands there twice`, undefined);
      nodes.set(name, node);
    }
  }
  return (subject) => {
    for (const value of valuesOf(subject)) {
      const name = value.toLowerCase();
      let action = nodes.get(name)?.(subject);
      for (let dot = name.indexOf("."); action === undefined && dot !== -1; dot = name.indexOf(".", dot + 1))
        action = nodes.get(`*${name.slice(dot)}`)?.(subject);
      action ??= nodes.get("*")?.(subject);
      if (action !== undefined) return action;
    }
    return undefined;
  };
}
