import assert from "node:assert/strict";
import { test } from "node:test";
import { coreDescriptor } from "./gen/core.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";
import { honouredDescriptor } from "./gen/honoured.ts";
import { messageFromJson } from "./json-reader.ts";
import { decodeMessage, encodeMessage } from "./message.ts";
import { compileRules, isKnownRule, type Rules } from "./rules.ts";
import { validate } from "./validate.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";

function problemsOf(typeName: string, json: unknown): string[] {
  const message = messageFromJson(typeName, json);
  assert.ok(message.ok, JSON.stringify(message));
  const decoded = decodeMessage(typeName, encodeMessage(typeName, message.value));
  assert.ok(decoded.ok);
  return validate(typeName, decoded.value);
}

test("a valid cluster has no problems", () => {
  assert.deepEqual(problemsOf(CLUSTER, { name: "a", connect_timeout: "1s" }), []);
});

test("rules apply to plain scalars that are not set", () => {
  assert.deepEqual(problemsOf(CLUSTER, {}), ["name: is empty, allowed is at least 1 character"]);
});

test("where a choice must be made and a field that is not known is set, it is named", () => {
  const rateLimit = Buffer.from("1a026a00", "hex"); // actions[0] (field 3) with field 13, of no bytes
  const decoded = decodeMessage("envoy.config.route.v3.RateLimit", rateLimit);
  assert.ok(decoded.ok);
  const [problem, ...others] = validate("envoy.config.route.v3.RateLimit", decoded.value);
  assert.match(
    problem ?? "",
    /^actions\[0\]\.action_specifier: one must be set of .*; found is what this version does not know: field 13$/,
  );
  assert.deepEqual(others, []);
});

test("every violation is reported, with its path", () => {
  const problems = problemsOf(CLUSTER, {
    connect_timeout: "0s",
    lb_policy: 99,
    health_checks: [{ timeout: "1s", interval: "0s", healthy_threshold: 1 }],
    load_assignment: {
      cluster_name: "a",
      endpoints: [{ priority: 129, lb_endpoints: [{ load_balancing_weight: 0 }] }],
    },
  });
  assert.deepEqual(problems.sort(), [
    "connect_timeout: found 0s, allowed is above 0s",
    "health_checks[0].health_checker: one must be set of http_health_check, tcp_health_check, grpc_health_check, custom_health_check",
    "health_checks[0].interval: found 0s, allowed is above 0s",
    "health_checks[0].unhealthy_threshold: must be set",
    "lb_policy: found 99, which is no value of the enum",
    "load_assignment.endpoints[0].lb_endpoints[0].load_balancing_weight: found 0, allowed is at least 1",
    "load_assignment.endpoints[0].priority: found 129, allowed is at most 128",
    "name: is empty, allowed is at least 1 character",
  ]);
});

test("header names are checked where the proto says so", () => {
  const problems = problemsOf("envoy.config.core.v3.HeaderValue", { key: "a\nb", value: "ok" });
  assert.deepEqual(problems, ['key: found "a\\nb", which is no header name']);
});

function check(rules: Rules, value: unknown): string[] {
  return compileRules(rules).flatMap((rule) => rule(value) ?? []);
}

test("a lower bound above the upper one allows what lies outside", () => {
  const rules = { uint32: { lte: 0, gte: 5 } };
  assert.deepEqual(check(rules, 0), []);
  assert.deepEqual(check(rules, 5), []);
  assert.deepEqual(check(rules, 3), ["found 3, allowed is at least 5 or at most 0"]);
});

test("ignore_empty leaves an empty value alone", () => {
  const rules = { string: { pattern: "^a+$", ignore_empty: true } };
  assert.deepEqual(check(rules, ""), []);
  assert.equal(check(rules, "b").length, 1);
});

test("every rule of every compiled message is implemented", () => {
  const unknown = new Set<string>();
  const lines = `${coreDescriptor}${honouredDescriptor}${extensionsDescriptor}`
    .split("\n")
    .filter((line) => line !== "");
  const all = lines.flatMap((line) => rulesIn(JSON.parse(line.slice(line.indexOf(" ")))));
  assert.ok(all.length > 500);
  for (const rules of all) {
    for (const [kind, bounds] of Object.entries(rules)) {
      for (const rule of Object.keys(bounds)) if (!isKnownRule(kind, rule)) unknown.add(`${kind}.${rule}`);
    }
  }
  assert.deepEqual([...unknown], []);
});

type RuleObject = { readonly [kind: string]: { readonly [rule: string]: RuleObject } };

/** All `rules` objects of a descriptor, those of items, keys and values as well. */
function rulesIn(json: unknown): RuleObject[] {
  if (typeof json !== "object" || json === null) return [];
  return Object.entries(json).flatMap(([key, value]) => {
    const rules = key === "options" ? (value as { readonly rules?: RuleObject }).rules : undefined;
    if (rules === undefined || rules["type"] !== undefined) return rulesIn(value); // a field may be named "options"
    const inner = [rules["repeated"]?.["items"], rules["map"]?.["keys"], rules["map"]?.["values"]];
    return [rules, ...inner.filter((inside) => inside !== undefined)];
  });
}
