/**
 * `envoy.type.matcher.v3.StringMatcher`, decoded. `ignoreCase` is never true for `safe-regex` (the proto forbids it).
 * The regex is RE2 syntax; it has been checked when it was decoded and never reaches `new RegExp` as it stands.
 */
export type StringMatcherConfig =
  | { readonly type: "exact"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "prefix"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "suffix"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "contains"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "safe-regex"; readonly regex: string };
