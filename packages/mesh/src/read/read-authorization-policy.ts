import { Cidr } from "@heddle/base";
import type { Attribute, AuthorizationPolicy, AuthorizationRule, Criterion } from "../model/authorization-policy.ts";
import { isPathTemplate, parsePathTemplate } from "../model/path-template.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";
import { readTarget } from "./read-policy-target.ts";

/** Reads `AuthorizationPolicy` (heddle.dev/v1), whose fields are those of Istio's, and `grpcMethods` besides. */
export function readAuthorizationPolicy(document: Field): AuthorizationPolicy {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, createdAtMs } = readMetadata(metadata, "subdomain");
  const fields = spec.object("selector", "targetRefs", "action", "provider", "rules");
  const action = fields.action.oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM") ?? "ALLOW";
  const provider = readProvider(fields.provider, action);
  const rules = fields.rules.items().map((rule) => readRule(rule, namespace));
  if (rules.length === 0 && action !== "ALLOW") {
    // Of an ALLOW it is a way to write "nobody".
    const message = `${fields.rules.present ? "is empty" : "is missing"}: a policy that matches nothing has no effect`;
    fields.rules.error(
      action === "DENY" || action === "CUSTOM" ? `${message}; for everything write "rules: [{}]"` : message,
    );
  }
  return {
    kind: "authorization-policy",
    namespace,
    name,
    createdAtMs,
    target: readTarget(fields.selector, fields.targetRefs, namespace),
    action,
    ...(provider !== undefined && { provider }),
    rules,
    origin: document.origin,
  };
}

function readProvider(field: Field, action: AuthorizationPolicy["action"]): string | undefined {
  if (action === "CUSTOM" && !field.present) field.error("is missing: a CUSTOM policy asks a provider, { name: … }");
  if (action !== "CUSTOM" && field.present) field.error(`has no effect with the action ${action}; allowed with CUSTOM`);
  return field.present ? field.object("name").name.requiredText() : undefined;
}

function readRule(rule: Field, namespace: string): AuthorizationRule {
  if (!rule.present) rule.error('is empty; for everything write "{}"'); // a forgotten rule would be one that allows all
  const { from, to, when } = rule.object("from", "to", "when");
  return {
    from: someOf(from).map((item) => readCriteria(item.object("source").source, SOURCE_FIELDS, namespace)),
    to: someOf(to).map((item) => readCriteria(item.object("operation").operation, OPERATION_FIELDS, namespace)),
    when: someOf(when).map((item) => readCondition(item, namespace)),
  };
}

/** An empty list would ask for nothing, where somebody may have meant nobody. */
function someOf(field: Field): readonly Field[] {
  const items = field.items();
  if (Array.isArray(field.value) && items.length === 0)
    field.error("is empty: leave it out, or give it at least one entry");
  return items;
}

const SOURCE_FIELDS: readonly (readonly [string, Attribute])[] = [
  ["principals", { type: "source.principal" }],
  ["requestPrincipals", { type: "request.auth.principal" }],
  ["namespaces", { type: "source.namespace" }],
  ["serviceAccounts", { type: "source.serviceAccount" }],
  ["ipBlocks", { type: "source.ip" }],
  ["remoteIpBlocks", { type: "remote.ip" }],
];

const OPERATION_FIELDS: readonly (readonly [string, Attribute])[] = [
  ["hosts", { type: "request.host" }],
  ["ports", { type: "destination.port" }],
  ["methods", { type: "request.method" }],
  ["paths", { type: "request.path" }],
  ["grpcMethods", { type: "request.path" }],
];

/** "principals" and "notPrincipals", and so on. */
function readCriteria(
  field: Field,
  known: readonly (readonly [string, Attribute])[],
  namespace: string,
): readonly Criterion[] {
  const fields = field.object(...known.flatMap(([name]) => [name, notName(name)]));
  const criteria = known.flatMap(([name, attribute]): Criterion[] => {
    const [given, excluded] = [fields[name]!, fields[notName(name)]!]; // both are among the names above
    if (!given.present && !excluded.present) return [];
    const read = (item: Field): string | undefined =>
      name === "grpcMethods" ? readGrpcMethod(item) : readValue(item, attribute, namespace);
    return [
      {
        attribute,
        values: someOf(given).flatMap((item) => read(item) ?? []),
        notValues: someOf(excluded).flatMap((item) => read(item) ?? []),
        origin: (given.present ? given : excluded).origin,
      },
    ];
  });
  if (!field.present) field.error("is missing");
  else if (Object.keys((field.value ?? {}) as object).length === 0)
    field.error("is empty: leave its entry out, or say what it asks for");
  return criteria;
}

function notName(name: string): string {
  return `not${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
}

function readCondition(item: Field, namespace: string): Criterion {
  const { key, values, notValues } = item.object("key", "values", "notValues");
  const attribute = readAttribute(key);
  if (!values.present && !notValues.present) values.error("is missing, and so is notValues: one of them is needed");
  const read = (field: Field): readonly string[] =>
    someOf(field).flatMap((one) => (attribute === undefined ? [] : (readValue(one, attribute, namespace) ?? [])));
  return {
    attribute: attribute ?? { type: "source.principal" }, // there is an error, so nobody gets it
    values: read(values),
    notValues: read(notValues),
    origin: item.origin,
  };
}

const PLAIN_KEYS = [
  "source.ip",
  "remote.ip",
  "source.namespace",
  "source.principal",
  "source.serviceAccount",
  "request.auth.principal",
  "request.auth.audiences",
  "request.auth.presenter",
  "destination.ip",
  "destination.port",
  "connection.sni",
] as const;

function readAttribute(key: Field): Attribute | undefined {
  const text = key.requiredText();
  if (text === "") return undefined;
  const plain = PLAIN_KEYS.find((known) => known === text);
  if (plain !== undefined) return { type: plain };
  const header = /^request\.headers\[([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\]$/.exec(text)?.[1];
  if (header !== undefined) return { type: "request.headers", name: header.toLowerCase() };
  const claims = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/.exec(text)?.[1];
  if (claims !== undefined) return { type: "request.auth.claims", path: claims.slice(1, -1).split("][") };
  key.error(`found "${text}", allowed: request.headers[NAME], request.auth.claims[NAME], ${PLAIN_KEYS.join(", ")}`);
  return undefined;
}

/** "pkg.Service/Method" as the path that it is. */
function readGrpcMethod(item: Field): string | undefined {
  const text = item.requiredText();
  if (/^(?:[\w.]+\/(?:\w+|\*)|\*)$/.test(text)) return text === "*" ? "*" : `/${text}`;
  if (text !== "") item.error(`found "${text}", allowed: "pkg.Service/Method", "pkg.Service/*" or "*"`);
  return undefined;
}

/** Undefined: it is none of that attribute, and an error says why. */
function readValue(item: Field, attribute: Attribute, namespace: string): string | undefined {
  switch (attribute.type) {
    case "source.ip":
    case "remote.ip":
    case "destination.ip":
      return readBlock(item);
    case "destination.port":
      return readPort(item);
    case "source.namespace":
      return readNamespace(item);
    case "source.serviceAccount":
      return readAccount(item, namespace);
    case "source.principal":
      return readGlob(item)?.replace(/^spiffe:\/\//i, "");
    case "request.path":
      return readPath(item);
    case "connection.sni":
    case "request.host":
      return readGlob(item)?.toLowerCase();
    case "request.auth.principal":
      return readTokenPrincipal(item);
    case "request.method":
    case "request.headers":
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
      return readGlob(item);
  }
}

function readBlock(item: Field): string | undefined {
  const text = item.requiredText();
  if (text === "") return undefined;
  const block = Cidr.parse(text);
  if (!block.ok) item.error(block.error);
  return block.ok ? text : undefined;
}

/** Istio writes ports as texts. */
function readPort(item: Field): string | undefined {
  const text = typeof item.value === "number" ? String(item.value) : item.requiredText();
  if (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535) return text;
  if (text !== "") item.error(`found "${text}", allowed: 1 to 65535`);
  return undefined;
}

function readNamespace(item: Field): string | undefined {
  const text = item.requiredText();
  if (text === "" || /^[-a-z0-9*]{1,63}$/.test(text)) return text === "" ? undefined : text;
  item.error(`found "${text}", allowed: the name of a namespace, in which "*" stands for any characters`);
  return undefined;
}

/** "web" is one of the policy's own namespace. */
function readAccount(item: Field, ownNamespace: string): string | undefined {
  const text = item.requiredText();
  if (text === "") return undefined;
  const [first = "", second, ...more] = text.split("/");
  const [namespace, account] = second === undefined ? [ownNamespace, first] : [first, second];
  checkName(item, namespace, "label");
  checkName(item, account, "subdomain");
  if (more.length > 0) item.error(`found "${text}", allowed: "account" or "namespace/account"`);
  return `${namespace}/${account}`;
}

function readPath(item: Field): string | undefined {
  const text = item.text() ?? "";
  // RFC 3986 §3.3: neither is part of a path, so it would match nothing.
  if (/[?#]/.test(text)) {
    item.error(`found "${text}", allowed: a path, without a query`);
    return undefined;
  }
  if (!isPathTemplate(text)) {
    const glob = readGlob(item);
    if (glob === undefined || /^[/*]/.test(glob)) return glob;
    item.error(`found "${text}", allowed: what begins with "/" or "*"`);
    return undefined;
  }
  const template = parsePathTemplate(text);
  if (!template.ok) item.error(`found "${text}": ${template.error}`);
  return template.ok ? text : undefined;
}

/** Each slash may be the one between issuer and subject, and becomes a matcher that holds both: a text of 100 KB would be 5 GB. */
const MAX_PRINCIPAL_SLASHES = 20;

function readTokenPrincipal(item: Field): string | undefined {
  const glob = readGlob(item);
  const slashes = glob === undefined ? 0 : glob.split("/").length - 1;
  if (slashes <= MAX_PRINCIPAL_SLASHES) return glob;
  item.error(`has ${slashes} slashes, allowed: ${MAX_PRINCIPAL_SLASHES}`);
  return undefined;
}

/** "text", "begin*", "*end" or "*". */
function readGlob(item: Field): string | undefined {
  const text = item.requiredText();
  if (text === "") return undefined;
  if (text === "*" || !/^.+\*.+$|^\*.*\*$/s.test(text)) return text;
  item.error(`found "${text}", allowed: "text", "begin*", "*end" or "*"`);
  return undefined;
}
