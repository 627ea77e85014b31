import { createHash } from "node:crypto";
import { err, type Json, ok } from "@heddle/base";
import type { ConfigIssue, HttpFilterType } from "@heddle/filter";
import { asBytes, wrongToldHeader } from "@heddle/traffic";
import { lazyFilter } from "./lazy-filter.ts";

/** `ApiKeyAuth`. What is undefined is not set. */
export interface ApiKeyAuthConfig {
  /** The client, by the digest of its key. */
  readonly clients: ReadonlyMap<string, string> | undefined;
  readonly sources: readonly KeySource[] | undefined;
  readonly forwarding: KeyForwarding | undefined;
}

/** `ApiKeyAuthPerRoute` */
export interface ApiKeyAuthRouteConfig extends ApiKeyAuthConfig {
  /** Empty: everybody who is known. */
  readonly allowedClients: ReadonlySet<string>;
}

export interface KeySource {
  readonly in: "header" | "query" | "cookie";
  /** Of a header in lower case. */
  readonly name: string;
}

export interface KeyForwarding {
  /** The field that names the client to the upstream, lower case; "" for none. */
  readonly header: string;
  readonly hideCredentials: boolean;
}

/** `envoy.filters.http.api_key_auth`: lets in who brings a key that is known. */
export const apiKeyAuthType: HttpFilterType<ApiKeyAuthConfig, ApiKeyAuthRouteConfig> = lazyFilter(
  {
    name: "envoy.filters.http.api_key_auth",
    configType: "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
    routeConfigType: "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
    parse(config) {
      const issues: ConfigIssue[] = [];
      const read = readConfig(config, issues);
      return issues.length > 0 ? err(issues) : ok(read);
    },
    parseRoute(config) {
      const issues: ConfigIssue[] = [];
      const { allowedClients = [] } = config as Json & Fields;
      const read = { ...readConfig(config, issues), allowedClients: new Set(allowedClients.map(asBytes)) };
      return issues.length > 0 ? err(issues) : ok(read);
    },
  },
  () => import("./api-key-auth.ts"),
);

/** What a key is looked up by: so the time that it takes says nothing of those that are close to it. `key`: as bytes. */
export function keyDigest(key: string): string {
  return createHash("sha256").update(key, "latin1").digest("base64");
}

interface Fields {
  readonly credentials?: readonly { readonly key?: string; readonly client?: string }[];
  readonly keySources?: readonly { readonly header?: string; readonly query?: string; readonly cookie?: string }[];
  readonly forwarding?: { readonly header?: string; readonly hideCredentials?: boolean };
  readonly allowedClients?: readonly string[];
}

function readConfig(config: Json, issues: ConfigIssue[]): ApiKeyAuthConfig {
  const { credentials = [], keySources = [], forwarding } = config as Json & Fields;
  const seen = new Map<string, number>();
  const clients = credentials.map(({ key = "", client = "" }, index): [string, string] => {
    const digest = keyDigest(asBytes(key));
    const before = seen.get(digest);
    // The key itself is a secret.
    if (before !== undefined)
      issues.push({ path: `credentials[${index}].key`, message: `is that of credentials[${before}] already` });
    if (!/^[\x20-\x7e\x80-\xff]*$/.test(asBytes(client)))
      issues.push({ path: `credentials[${index}].client`, message: "holds a control character" });
    seen.set(digest, index);
    return [digest, asBytes(client)];
  });
  const sources = keySources.map(({ header = "", query = "", cookie = "" }, index): KeySource => {
    if (header !== "") return { in: "header", name: header.toLowerCase() };
    if (query !== "") return { in: "query", name: asBytes(query) };
    if (cookie === "") issues.push({ path: `keySources[${index}]`, message: "needs one of header, query and cookie" });
    return { in: "cookie", name: cookie };
  });
  const wrong = wrongToldHeader(forwarding?.header ?? "");
  if (wrong !== undefined) issues.push({ path: "forwarding.header", message: wrong });
  return {
    clients: clients.length === 0 ? undefined : new Map(clients),
    sources: sources.length === 0 ? undefined : sources,
    forwarding: forwarding && {
      header: (forwarding.header ?? "").toLowerCase(),
      hideCredentials: forwarding.hideCredentials === true,
    },
  };
}
