import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "@heddle/base";
import fc from "fast-check";
import { readRbacRules } from "./read-rbac.ts";
import { RuleReader } from "./rule-reader.ts";
import { type TestRequest, testSubject } from "./testing-subject.ts";

/* One table of requests and policies. Each policy is written in both languages: as `rules` and as a `matcher`. */

const NETWORK = "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3";
const SSL = "type.googleapis.com/envoy.extensions.matching.common_inputs.ssl.v3";
const TYPE = "type.googleapis.com/envoy.type.matcher.v3";

const input = (type: string, fields: object = {}): Json => ({ name: "i", typedConfig: { "@type": type, ...fields } });
const headerInput = (headerName: string): Json => input(`${TYPE}.HttpRequestHeaderMatchInput`, { headerName });
const single = (from: Json, valueMatch: Json): Json => ({ singlePredicate: { input: from, valueMatch } });
const inRanges = (type: string, ...cidrRanges: Json[]): Json => ({
  singlePredicate: {
    input: input(`${NETWORK}.${type}`),
    customMatch: {
      name: "ip",
      typedConfig: {
        "@type": "type.googleapis.com/envoy.extensions.matching.input_matchers.ip.v3.Ip",
        cidrRanges,
        statPrefix: "s",
      },
    },
  },
});
const block = (addressPrefix: string, prefixLen: number): Json => ({ addressPrefix, prefixLen });
const named = (name: string, exact: string): Json => ({ name, stringMatch: { exact } });
const ANY = { any: true };

/** A condition in both languages: one permission or principal, and the predicate. */
interface Condition {
  readonly permission?: Json;
  readonly principal?: Json;
  readonly predicate: Json;
}

const isMethod = (method: string): Condition => ({
  permission: { header: named(":method", method) },
  predicate: single(headerInput(":method"), { exact: method }),
});
const role: Condition = {
  permission: { header: named("x-role", "admin") },
  predicate: single(headerInput("x-role"), { exact: "admin" }),
};
const underAdmin: Condition = {
  permission: { header: { name: ":path", stringMatch: { prefix: "/admin" } } },
  predicate: single(headerInput(":path"), { prefix: "/admin" }),
};
const alice: Condition = {
  principal: { authenticated: { principalName: { exact: "spiffe://td/ns/a/sa/alice" } } },
  predicate: single(input(`${SSL}.UriSanInput`), { exact: "spiffe://td/ns/a/sa/alice" }),
};
const dns: Condition = {
  principal: { authenticated: { principalName: { suffix: ".shop.example" } } },
  predicate: single(input(`${SSL}.DnsSanInput`), { suffix: ".shop.example" }),
};
const fromTen: Condition = {
  principal: { directRemoteIp: block("10.0.0.0", 8) },
  predicate: inRanges("DirectSourceIPInput", block("10.0.0.0", 8)),
};
const fromSix: Condition = {
  principal: { sourceIp: block("2001:db8::", 32) },
  predicate: inRanges("SourceIPInput", block("2001:db8::", 32)),
};
const toHere: Condition = {
  permission: { destinationIp: block("192.0.2.2", 32) },
  predicate: inRanges("DestinationIPInput", block("192.0.2.2", 32)),
};
const onPort: Condition = {
  permission: { destinationPort: 8080 },
  predicate: single(input(`${NETWORK}.DestinationPortInput`), { exact: "8080" }),
};
const asked: Condition = {
  permission: { requestedServerName: { safeRegex: { regex: "a[0-9]+\\.example" } } },
  predicate: single(input(`${NETWORK}.ServerNameInput`), { safeRegex: { googleRe2: {}, regex: "a[0-9]+\\.example" } }),
};

function both(...of: readonly Condition[]): Condition {
  const permissions = of.flatMap(({ permission }) => permission ?? []);
  const principals = of.flatMap(({ principal }) => principal ?? []);
  return {
    ...(permissions.length > 0 && { permission: { andRules: { rules: permissions } } }),
    ...(principals.length > 0 && { principal: { andIds: { ids: principals } } }),
    predicate: { andMatcher: { predicate: of.map(({ predicate }) => predicate) } },
  };
}

function either(...of: readonly Condition[]): Condition {
  return {
    permission: { orRules: { rules: of.map(({ permission }) => permission ?? ANY) } },
    predicate: { orMatcher: { predicate: of.map(({ predicate }) => predicate) } },
  };
}

function none({ permission, principal, predicate }: Condition): Condition {
  return {
    ...(permission !== undefined && { permission: { notRule: permission } }),
    ...(principal !== undefined && { principal: { notId: principal } }),
    predicate: { notMatcher: predicate },
  };
}

/**
 * Any conditions, joined. Permissions and principals of one policy are all asked, so only one side of it can hold an "or" or a
 * "not" of both kinds: a condition is moved to where the other language has it as one.
 */
function whole(of: readonly Condition[], how: "and" | "or" | "not"): Condition {
  if (how === "and") return both(...of);
  const isPermission = of.every(({ principal }) => principal === undefined);
  const isPrincipal = of.every(({ permission }) => permission === undefined);
  if (!isPermission && !isPrincipal) return of[0]!;
  if (how === "not") return none(of[0]!);
  if (isPermission) return either(...of);
  return {
    principal: { orIds: { ids: of.map(({ principal }) => principal ?? ANY) } },
    predicate: { orMatcher: { predicate: of.map(({ predicate }) => predicate) } },
  };
}

/** Their names are in the order in which `rules` are asked. */
interface Policies {
  readonly action: "ALLOW" | "DENY" | "LOG";
  readonly policies: readonly (readonly [name: string, condition: Condition])[];
}

function asRules({ action, policies }: Policies): Json {
  return {
    action,
    policies: Object.fromEntries(
      policies.map(([name, { permission = ANY, principal = ANY }]) => [
        name,
        { permissions: [permission], principals: [principal] },
      ]),
    ),
  };
}

function asMatcher({ action, policies }: Policies): Json {
  const does = (name: string, action: string): Json => ({
    action: { name: "a", typedConfig: { "@type": "type.googleapis.com/envoy.config.rbac.v3.Action", name, action } },
  });
  return {
    ...(policies.length > 0 && {
      matcherList: {
        matchers: policies.map(([name, { predicate }]) => ({ predicate, onMatch: does(name, action) })),
      },
    }),
    // A list of denials lets everybody else pass.
    ...(action !== "ALLOW" && { onNoMatch: does("", "ALLOW") }),
  };
}

const REQUESTS: Readonly<Record<string, TestRequest>> = {
  plain: {},
  post: { method: "POST" },
  admin: { path: "/admin/x?y=1" },
  "admin by post": { path: "/admin", method: "POST" },
  role: { headers: ["x-role", "admin"] },
  "role behind another": { headers: ["x-role", "user", "x-role", "admin"] },
  "role in a list": { headers: ["x-role", "user,admin"] },
  alice: { peer: { uriSans: ["spiffe://td/ns/a/sa/alice"] } },
  "alice says nobody": { peer: { uriSans: ["spiffe://td/ns/a/sa/alice"] }, unverified: true },
  bob: { peer: { uriSans: ["spiffe://td/ns/a/sa/bob"], dnsSans: ["bob.shop.example"] } },
  "a name with a NUL": { peer: { uriSans: ["spiffe://td/ns/a/sa/alice\0.evil"], dnsSans: ["x\0.shop.example"] } },
  "from ten": { connection: { directRemoteAddress: "10.1.2.3" } },
  "mapped ten": { connection: { directRemoteAddress: "::ffff:10.1.2.3" } },
  "says ten": { connection: { remoteAddress: "10.1.2.3" } },
  "from six": { connection: { remoteAddress: "2001:db8::1" } },
  "unix socket": { connection: { remoteAddress: "", directRemoteAddress: "", localAddress: "", localPort: 0 } },
  asked: { connection: { serverName: "a12.example" } },
  "asked for more": { connection: { serverName: "a12.example.evil" } },
  connect: { method: "CONNECT", path: "" },
  websocket: { headers: ["connection", "upgrade"], upgrade: "websocket" },
};

const TABLE: readonly {
  readonly policies: Policies;
  /** Who is allowed, and who else is named: "request" or "request: policy". */
  readonly allowed: readonly string[];
}[] = [
  { policies: { action: "ALLOW", policies: [] }, allowed: [] },
  { policies: { action: "DENY", policies: [] }, allowed: Object.keys(REQUESTS) },
  {
    policies: { action: "ALLOW", policies: [["m", isMethod("POST")]] },
    allowed: ["post", "admin by post"],
  },
  {
    policies: { action: "ALLOW", policies: [["c", isMethod("CONNECT")]] },
    allowed: ["connect"],
  },
  {
    policies: { action: "ALLOW", policies: [["x", role]] },
    allowed: ["role", "role behind another"],
  },
  {
    policies: { action: "DENY", policies: [["x", role]] },
    allowed: Object.keys(REQUESTS).filter((name) => name !== "role" && name !== "role behind another"),
  },
  {
    policies: { action: "ALLOW", policies: [["p", both(underAdmin, isMethod("POST"))]] },
    allowed: ["admin by post"],
  },
  {
    policies: { action: "DENY", policies: [["p", either(underAdmin, isMethod("POST"))]] },
    allowed: Object.keys(REQUESTS).filter((name) => !/^(post|admin)/.test(name)),
  },
  { policies: { action: "ALLOW", policies: [["a", alice]] }, allowed: ["alice"] },
  { policies: { action: "ALLOW", policies: [["b", dns]] }, allowed: ["bob"] },
  {
    policies: { action: "ALLOW", policies: [["n", none(fromTen)]] },
    allowed: Object.keys(REQUESTS).filter((name) => name !== "from ten" && name !== "mapped ten"),
  },
  { policies: { action: "ALLOW", policies: [["i", fromTen]] }, allowed: ["from ten", "mapped ten"] },
  { policies: { action: "ALLOW", policies: [["i", fromSix]] }, allowed: ["from six"] },
  {
    policies: { action: "ALLOW", policies: [["d", both(toHere, onPort)]] },
    allowed: Object.keys(REQUESTS).filter((name) => name !== "unix socket"),
  },
  { policies: { action: "ALLOW", policies: [["s", asked]] }, allowed: ["asked"] },
  {
    policies: {
      action: "ALLOW",
      policies: [
        ["1", both(alice, isMethod("GET"))],
        ["2", isMethod("POST")],
        ["3", fromTen],
      ],
    },
    allowed: ["alice", "post", "admin by post", "from ten", "mapped ten"],
  },
  { policies: { action: "LOG", policies: [["l", isMethod("POST")]] }, allowed: Object.keys(REQUESTS) },
];

describe("both languages of RBAC decide the same table alike", () => {
  for (const [row, { policies, allowed }] of TABLE.entries()) {
    const name = policies.policies.map(([policy]) => policy).join(" ");
    test(`row ${row + 1}: ${policies.action} ${name === "" ? "nothing" : name}`, () => {
      const reader = new RuleReader("http");
      const rules = readRbacRules({ rules: asRules(policies) }, reader).enforced!;
      const matcher = readRbacRules({ matcher: asMatcher(policies) }, reader).enforced!;
      // What lets everybody else pass has to have a name in the other language.
      assert.deepEqual(
        reader.issues.filter(({ path }) => !path.startsWith("matcher.onNoMatch.action")),
        [],
      );
      for (const [name, request] of Object.entries(REQUESTS)) {
        const byRules = rules.decide(testSubject(request));
        const byMatcher = matcher.decide(testSubject(request));
        assert.equal(byRules.allowed, allowed.includes(name), `rules: ${name}`);
        assert.equal(byMatcher.allowed, allowed.includes(name), `matcher: ${name}`);
        assert.equal(byMatcher.policy, byRules.policy, name);
        assert.equal(byMatcher.logs === true, byRules.logs === true, name);
      }
    });
  }

  test("and so do policies that are made of their conditions", () => {
    const atom = fc.constantFrom(
      isMethod("POST"),
      role,
      underAdmin,
      alice,
      dns,
      fromTen,
      fromSix,
      toHere,
      onPort,
      asked,
    );
    const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
      condition: fc.oneof(
        { maxDepth: 4 },
        atom,
        fc.array(tie("condition"), { minLength: 2, maxLength: 3 }).map((of) => whole(of, "and")),
        fc.array(tie("condition"), { minLength: 2, maxLength: 3 }).map((of) => whole(of, "or")),
        tie("condition").map((of) => whole([of], "not")),
      ),
    }));
    const policies = fc.record({
      action: fc.constantFrom("ALLOW" as const, "DENY" as const),
      policies: fc.array(condition, { maxLength: 3 }).map((of) => of.map((one, i) => [`p${i}`, one] as const)),
    });
    fc.assert(
      fc.property(policies, (made) => {
        const rules = readRbacRules({ rules: asRules(made) }, new RuleReader("http")).enforced!;
        const matcher = readRbacRules({ matcher: asMatcher(made) }, new RuleReader("http")).enforced!;
        for (const [name, request] of Object.entries(REQUESTS))
          assert.deepEqual(matcher.decide(testSubject(request)), rules.decide(testSubject(request)), name);
      }),
      { seed: 3, numRuns: 200 },
    );
  });
});
