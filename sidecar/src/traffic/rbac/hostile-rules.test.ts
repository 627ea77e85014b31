import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import fc from "fast-check";
import { networkRbacType, rbacType } from "./rbac-types.ts";

const KEYS = [
  "rules", "shadowRules", "matcher", "shadowMatcher", "action", "policies", "permissions", "principals", "condition",
  "any", "andRules", "orRules", "notRule", "rules", "ids", "andIds", "orIds", "notId", "header", "name", "stringMatch", "exact",
  "prefix", "safeRegex", "regex", "urlPath", "path", "destinationIp", "addressPrefix", "prefixLen", "metadata", "filter", "value",
  "key", "authenticated", "principalName", "custom", "typedConfig", "@type", "uriTemplate", "pathTemplate", "matcherList",
  "matchers", "predicate", "onMatch", "singlePredicate", "input", "valueMatch", "customMatch", "matcherTree", "exactMatchMap",
  "map", "onNoMatch", "exprMatch", "celExprString", "constExpr", "callExpr", "function", "args", "identExpr", "comprehensionExpr",
  "statPrefix", "delayDeny", "__proto__", "constructor", "toString",
] as const; // biome-ignore format: a table

const VALUES = [
  null, true, false, 0, -1, 1e308, 33, "", "a", "ALLOW", "DENY", "10.0.0.0", "(", "(?i)x", "5s", "/{a}", "{", "request.path",
  "request.path == ", "t/envoy.config.rbac.v3.Action", "t/xds.type.matcher.v3.CelMatcher",
  "t/xds.type.matcher.v3.HttpAttributesCelMatchInput", "t/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
  "t/xds.type.matcher.v3.IPMatcher", "t/envoy.extensions.matching.common_inputs.network.v3.SourceIPInput",
] as const; // biome-ignore format: a table

test("whatever a configuration holds, it is read or refused with reasons, and never throws", () => {
  const { json } = fc.letrec<{ json: Json }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 7, depthSize: "medium" },
      fc.constantFrom<Json[]>(...VALUES),
      fc.array(tie("json"), { maxLength: 3 }),
      fc
        .array(fc.tuple(fc.constantFrom(...KEYS), tie("json")), { maxLength: 4 })
        .map(
          (entries) =>
            JSON.parse(
              `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`,
            ) as Json,
        ),
    ),
  }));
  fc.assert(
    fc.property(json, fc.constantFrom("rules", "shadowRules", "matcher"), (value, field) => {
      for (const config of [value, { [field]: value }, { [field]: { policies: { p: value } } }]) {
        for (const type of [rbacType, networkRbacType]) {
          const read = type.parse(config);
          if (!read.ok) assert.ok(read.error.every(({ message }) => message.length > 5));
        }
        rbacType.parseRoute?.(config);
      }
    }),
    { seed: 17, numRuns: 1500 },
  );
});
