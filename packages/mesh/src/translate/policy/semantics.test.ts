import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@heddle/base";
import { HeaderMap, RequestHead } from "@heddle/http";
import { AccessSubject, type ConnectionFacts, RuleReader, readRbacRules } from "@heddle/traffic/rbac";
import fc from "fast-check";
import { meshOf } from "../../model/testing.ts";
import { httpAuthorization, tcpAuthorization } from "./authorization.ts";

/*
 * What policies mean, said a second time and as simply as possible: of what the user wrote, without our readers and without
 * RBAC. What the generated filters decide has to be that.
 */

const TRUST = { trustDomain: "mesh.test", aliases: ["old.test"] };

interface Asked {
  /** "mesh.test/ns/shop/sa/web"; undefined: nobody has shown a certificate. */
  readonly peer: string | undefined;
  readonly ip: string;
  readonly remoteIp: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly team: string | undefined;
  readonly token:
    | { readonly iss: string; readonly sub: string; readonly aud: string | readonly string[]; readonly azp: string }
    | undefined;
}

type Lists = Readonly<Record<string, readonly string[]>>;

interface RuleSpec {
  readonly from?: readonly { readonly source: Lists }[];
  readonly to?: readonly { readonly operation: Lists }[];
  readonly when?: readonly {
    readonly key: string;
    readonly values?: readonly string[];
    readonly notValues?: readonly string[];
  }[];
}

interface PolicySpec {
  readonly action: "ALLOW" | "DENY" | "AUDIT";
  readonly rules?: readonly RuleSpec[];
}

/** How a value of that field fits. */
const FIELDS: Readonly<Record<string, (value: string, asked: Asked) => boolean>> = {
  principals: (value, { peer }) =>
    peer !== undefined &&
    (glob(value, peer) ||
      // The mesh's own trust domain and its alias are one.
      (/^(mesh|old)\.test\//.test(value) &&
        /^(mesh|old)\.test\//.test(peer) &&
        glob(value.replace(/^[^/]+/, ""), peer.replace(/^[^/]+/, "")))),
  namespaces: (value, { peer }) => {
    const own = /^(?:mesh|old)\.test\/ns\/([^/]+)\/sa\//.exec(peer ?? "")?.[1];
    return own !== undefined && (value === "s*p" ? /^s.*p$/.test(own) : glob(value, own));
  },
  serviceAccounts: (value, { peer }) => {
    const own = /^(?:mesh|old)\.test\/ns\/([^/]+)\/sa\/(.+)$/.exec(peer ?? "");
    return own !== null && (value.includes("/") ? value : `default/${value}`) === `${own[1]}/${own[2]}`;
  },
  requestPrincipals: (value, { token }) => token !== undefined && glob(value, `${token.iss}/${token.sub}`),
  ipBlocks: (value, { ip }) => inBlock(value, ip),
  remoteIpBlocks: (value, { remoteIp }) => inBlock(value, remoteIp),
  hosts: (value, { host }) => glob(value.toLowerCase(), host.toLowerCase()),
  ports: (value, { port }) => Number(value) === port,
  methods: (value, { method }) => glob(value, method),
  paths: (value, { path }) => {
    if (value === "/a/{*}/c") return /^\/a\/[^/]+\/c$/.test(path);
    if (value === "/a/{**}") return path.startsWith("/a/");
    return glob(value, path);
  },
  grpcMethods: (value, { path }) => value === "*" || glob(`/${value}`, path),
  "request.headers[X-Team]": (value, { team }) => glob(value, team),
  "request.auth.audiences": (value, { token }) => [token?.aud ?? []].flat().some((one) => glob(value, one)),
  "request.auth.presenter": (value, { token }) => glob(value, token?.azp),
};

const SAME_AS: Readonly<Record<string, string>> = {
  "source.principal": "principals",
  "source.namespace": "namespaces",
  "source.ip": "ipBlocks",
  "remote.ip": "remoteIpBlocks",
  "request.auth.principal": "requestPrincipals",
  "destination.port": "ports",
};

const OF_HTTP = /^(hosts|methods|paths|grpcMethods|requestPrincipals|request\..*)$/;

function glob(value: string, text: string | undefined): boolean {
  if (text === undefined || text === "") return false;
  if (value === "*") return true;
  if (value.startsWith("*")) return text.endsWith(value.slice(1));
  return value.endsWith("*") ? text.startsWith(value.slice(0, -1)) : text === value;
}

function inBlock(block: string, ip: string): boolean {
  return block.endsWith("/8") ? block.split(".")[0] === ip.split(".")[0] : block === ip;
}

type Verdict = boolean | "unknown";

function criterion(
  name: string,
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  asked: Asked,
  http: boolean,
): Verdict {
  const field = SAME_AS[name] ?? name;
  if (!http && OF_HTTP.test(field)) return "unknown";
  const fits = FIELDS[field];
  assert.ok(fits !== undefined, field);
  const isOne = (value: string): boolean => fits(value, asked);
  return (values === undefined || values.some(isOne)) && !(notValues ?? []).some(isOne);
}

function criteria(lists: Lists, asked: Asked, http: boolean): readonly Verdict[] {
  return Object.entries(lists).map(([name, values]) => {
    const opposite = /^not(.)(.*)$/.exec(name);
    if (opposite === null) return criterion(name, values, undefined, asked, http);
    return criterion(`${opposite[1]?.toLowerCase()}${opposite[2]}`, undefined, values, asked, http);
  });
}

function matches(rule: RuleSpec, action: PolicySpec["action"], asked: Asked, http: boolean): boolean {
  const from = (rule.from ?? [{ source: {} }]).map(({ source }) => criteria(source, asked, http));
  const to = (rule.to ?? [{ operation: {} }]).map(({ operation }) => criteria(operation, asked, http));
  const when = (rule.when ?? []).map(({ key, values, notValues }) => criterion(key, values, notValues, asked, http));
  const all = [...from.flat(), ...to.flat(), ...when];
  if (action === "ALLOW" && all.includes("unknown")) return false;
  const holds = (verdicts: readonly Verdict[]): boolean => verdicts.every((verdict) => verdict !== false);
  return from.some(holds) && to.some(holds) && holds(when);
}

function allowed(policies: readonly PolicySpec[], asked: Asked, http: boolean): boolean {
  const matching = (action: PolicySpec["action"]): boolean =>
    policies.some(
      (one) => one.action === action && (one.rules ?? []).some((rule) => matches(rule, action, asked, http)),
    );
  if (matching("DENY")) return false;
  return !policies.some(({ action }) => action === "ALLOW") || matching("ALLOW");
}

const VALUES: Readonly<Record<string, readonly string[]>> = {
  principals: ["*", "mesh.test/ns/shop/sa/web", "old.test/ns/shop/*", "*/sa/web", "other.test/ns/shop/sa/web", "mesh*"],
  namespaces: ["shop", "s*p", "sh*", "*", "default"],
  serviceAccounts: ["web", "shop/web"],
  requestPrincipals: ["*", "i/s", "https://i/s", "https://i/*", "*/s", "i*", "i/s/t", "*s"],
  ipBlocks: ["10.0.0.1", "10.9.9.9/8"],
  remoteIpBlocks: ["10.0.0.1", "172.9.9.9/8"],
  hosts: ["A.example", "*.example", "a*", "*"],
  ports: ["80", "81"],
  methods: ["GET", "P*", "*"],
  paths: ["/a", "/a/*", "*/c", "/a/{*}/c", "/a/{**}", "*"],
  grpcMethods: ["p.S/M", "p.S/*", "*"],
};

const lists = (names: readonly string[]): fc.Arbitrary<Lists> =>
  fc
    .record(
      Object.fromEntries(
        names.flatMap((name) => {
          const values = fc.uniqueArray(fc.constantFrom(...(VALUES[name] ?? [])), { minLength: 1, maxLength: 2 });
          return [
            [name, values],
            [`not${name.slice(0, 1).toUpperCase()}${name.slice(1)}`, values],
          ];
        }),
      ),
      { requiredKeys: [] },
    )
    // Of all fields at once hardly anything fits; one or two show more.
    .chain((all) =>
      fc.subarray(Object.entries(all), { minLength: Object.keys(all).length === 0 ? 0 : 1, maxLength: 2 }),
    )
    .map((entries) => Object.fromEntries(entries) as Lists)
    .filter((some) => Object.keys(some).length > 0);

const CONDITION = fc
  .constantFrom<readonly [string, readonly string[]]>(
    ...Object.entries(SAME_AS).map(([key, field]) => [key, VALUES[field] ?? []] as const),
    ["request.headers[X-Team]", ["shop", "s*", "*"]],
    ["request.auth.audiences", ["one", "t*"]],
    ["request.auth.presenter", ["app"]],
  )
  .chain(([key, values]) =>
    fc.record(
      {
        key: fc.constant(key),
        values: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
        notValues: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
      },
      { requiredKeys: ["key", "values"] },
    ),
  );

const some = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { minLength: 1, maxLength: 2 });
const RULE: fc.Arbitrary<RuleSpec> = fc.record(
  {
    from: some(
      fc.record({
        source: lists(["principals", "namespaces", "requestPrincipals", "ipBlocks", "remoteIpBlocks"]),
      }),
    ),
    to: some(fc.record({ operation: lists(["hosts", "ports", "methods", "paths", "grpcMethods"]) })),
    when: some(CONDITION),
  },
  { requiredKeys: [] },
);
const POLICY: fc.Arbitrary<PolicySpec> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<PolicySpec>({ action: "ALLOW" }) },
  {
    weight: 9,
    arbitrary: fc.record({ action: fc.constantFrom("ALLOW", "ALLOW", "DENY", "AUDIT"), rules: some(RULE) }),
  },
);

const PEERS = [
  "mesh.test/ns/shop/sa/web",
  "old.test/ns/shop/sa/web",
  "other.test/ns/shop/sa/web",
  "mesh.test/ns/default/sa/web",
];
const ASKED: fc.Arbitrary<Asked> = fc.record({
  peer: fc.constantFrom(undefined, ...PEERS),
  ip: fc.constantFrom("10.0.0.1", "172.16.0.1"),
  remoteIp: fc.constantFrom("10.0.0.1", "172.16.0.1"),
  port: fc.constantFrom(80, 81),
  method: fc.constantFrom("GET", "POST"),
  path: fc.constantFrom("/a", "/a/b/c", "/a/", "/p.S/M", "/b/a"),
  query: fc.constantFrom("", "?x=/a"),
  host: fc.constantFrom("a.example", "B.example", "other"),
  team: fc.constantFrom(undefined, "shop", "other"),
  token: fc.option(
    fc.record({
      iss: fc.constantFrom("i", "https://i"),
      sub: fc.constantFrom("s", "s/t"),
      aud: fc.constantFrom<string | readonly string[]>("one", ["two", "three"]),
      azp: fc.constantFrom("app", "other"),
    }),
    { nil: undefined },
  ),
});

test("what the generated filters decide is what the policies mean, of requests and of connections", () => {
  const counts = { true: 0, false: 0 };
  fc.assert(
    fc.property(
      fc.array(POLICY, { minLength: 1, maxLength: 3 }),
      fc.array(ASKED, { minLength: 8, maxLength: 8 }),
      fc.boolean(),
      (specs, asked, http) => {
        const filters = rulesOf(specs, http);
        for (const sent of asked) {
          const one = http ? sent : { ...sent, remoteIp: sent.ip }; // nobody says otherwise
          const subject = subjectOf(one, http);
          const decided = filters.every((decides) => decides(subject));
          const meant = allowed(specs, one, http);
          assert.equal(decided, meant, JSON.stringify({ one, http }));
          counts[`${meant}`] += 1;
        }
      },
    ),
    { seed: 7, numRuns: 250 },
  );
  assert.ok(counts.true > 300 && counts.false > 300, JSON.stringify(counts));
});

/** The enforced rules of the filters, made of what a user would write. */
function rulesOf(specs: readonly PolicySpec[], http: boolean): readonly ((subject: AccessSubject) => boolean)[] {
  const documents = specs.map((spec, index) =>
    JSON.stringify({ apiVersion: "heddle.dev/v1", kind: "AuthorizationPolicy", metadata: { name: `p${index}` }, spec }),
  );
  const mesh = meshOf(WORKLOAD, ...documents);
  const workload = mesh.workload("default", "w");
  assert.ok(workload !== undefined);
  const policies = mesh.policiesOf(workload);
  assert.equal(policies.authorization.length, specs.length);
  const configs = http
    ? httpAuthorization(policies, TRUST).map(({ config }) => config)
    : tcpAuthorization(policies, TRUST).flatMap((filter) => (filter.type === "extension" ? [filter.config] : []));
  return configs.map(({ config }) => {
    const reader = new RuleReader(http ? "http" : "network");
    const { enforced } = readRbacRules(config as JsonObject, reader);
    assert.deepEqual(reader.issues, []);
    assert.ok(enforced !== undefined);
    return (subject) => enforced.decide(subject).allowed;
  });
}

const WORKLOAD = `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: w }
spec: { addresses: [10.0.0.1] }`;

function subjectOf(asked: Asked, http: boolean): AccessSubject {
  const { peer, ip, remoteIp, port, method, path, query, host, team, token } = asked;
  const certificate = { uriSans: [`spiffe://${peer}`], dnsSans: [], subject: "" };
  const connection = {
    directRemoteAddress: ip,
    remoteAddress: remoteIp,
    remotePort: 1,
    localAddress: "10.0.0.9",
    localPort: port,
    connectionId: 1,
    ...(peer !== undefined && { tls: { peerVerified: true, peer: certificate } }),
  } as unknown as ConnectionFacts; // what rules look at of a certificate
  const metadata = new Map([
    ["envoy.filters.http.jwt_authn", new Map(token === undefined ? [] : [["payload", token]])],
  ]);
  if (!http) return new AccessSubject().set(connection, undefined);
  const headers = new HeaderMap(team === undefined ? [] : ["x-team", team]);
  const head = new RequestHead(method, "http", host, path + query, headers, "1.1", undefined);
  return new AccessSubject().set(connection, metadata, head, { requestId: "", startWallMs: 0 });
}
