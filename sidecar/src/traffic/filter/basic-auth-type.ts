import { err, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import type { ConfigIssue, HttpFilterType } from "@heddle/filter";
import { wrongToldHeader } from "@heddle/traffic";
import { type FilterData, readFilterData } from "./filter-data.ts";
import { lazyFilter } from "./lazy-filter.ts";

/** `BasicAuth` */
export interface BasicAuthConfig {
  readonly users: BasicAuthUsers;
  /** The field that the credentials stand in, lower case. */
  readonly authenticationHeader: string;
  /** The field that tells the upstream the user's name, lower case; "" for none. */
  readonly forwardUsernameHeader: string;
  /** Requests without credentials pass, and something behind decides. */
  readonly allowMissing: boolean;
  readonly emitDynamicMetadata: boolean;
  /** "": what was asked for. */
  readonly realm: string;
}

/** `BasicAuthPerRoute` */
export interface BasicAuthRouteConfig {
  readonly users: BasicAuthUsers;
  readonly realm: string;
}

/** SHA-1 of a password in base64, by the user's name as bytes (one character each). */
export type BasicAuthUsers = ReadonlyMap<string, string>;

/**
 * `envoy.filters.http.basic_auth`: lets in who knows a user's password (RFC 7617). Users are lines of htpasswd, whose passwords
 * are hashed with `{SHA}`, as in Envoy.
 */
export function basicAuthType(data: FilterData | undefined): HttpFilterType<BasicAuthConfig, BasicAuthRouteConfig> {
  return lazyFilter(
    {
      name: "envoy.filters.http.basic_auth",
      configType: "envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
      routeConfigType: "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute",
      parse: (config) => parse(config, data),
      parseRoute: (config) => parseRoute(config, data),
    },
    () => import("./basic-auth.ts"),
  );
}

function parse(config: Json, data: FilterData | undefined): Result<BasicAuthConfig, readonly ConfigIssue[]> {
  const fields = config as Json & Fields;
  const { allowMissing = false, emitDynamicMetadata = false, realm = "" } = fields;
  const issues: ConfigIssue[] = [];
  const users = readUsers(fields.users, data, issues);
  if (allowMissing && !emitDynamicMetadata)
    issues.push({
      path: "allowMissing",
      message: "needs emit_dynamic_metadata: nothing behind could tell who has been let in",
    });
  checkRealm(realm, issues);
  const wrong = wrongToldHeader(fields.forwardUsernameHeader ?? "");
  if (wrong !== undefined) issues.push({ path: "forwardUsernameHeader", message: wrong });
  if (issues.length > 0) return err(issues);
  return ok({
    users,
    authenticationHeader: (fields.authenticationHeader ?? "authorization").toLowerCase(),
    forwardUsernameHeader: (fields.forwardUsernameHeader ?? "").toLowerCase(),
    allowMissing,
    emitDynamicMetadata,
    realm,
  });
}

function parseRoute(config: Json, data: FilterData | undefined): Result<BasicAuthRouteConfig, readonly ConfigIssue[]> {
  const { users: source, realm = "" } = config as Json & Fields;
  const issues: ConfigIssue[] = [];
  const users = readUsers(source, data, issues);
  checkRealm(realm, issues);
  return issues.length > 0 ? err(issues) : ok({ users, realm });
}

interface Fields {
  readonly users?: JsonObject;
  readonly forwardUsernameHeader?: string;
  readonly authenticationHeader?: string;
  readonly allowMissing?: boolean;
  readonly emitDynamicMetadata?: boolean;
  readonly realm?: string;
}

/** It stands in quotes (RFC 9110 §5.6.4). */
function checkRealm(realm: string, issues: ConfigIssue[]): void {
  if (!/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(realm))
    issues.push({ path: "realm", message: "may hold printable ASCII alone, without quotes and backslashes" });
}

/** SHA-1 has 20 bytes. */
const SHA1_BASE64 = /^[A-Za-z0-9+/]{27}=$/;

function readUsers(
  source: JsonObject | undefined,
  data: FilterData | undefined,
  issues: ConfigIssue[],
): BasicAuthUsers {
  const users = new Map<string, string>();
  if (source === undefined) return users; // as in Envoy nobody is let in
  const text = readFilterData(source, data);
  if (!text.ok) {
    const { path, message } = text.error;
    issues.push({ path: path === "" ? "users" : `users.${path}`, message });
    return users;
  }
  for (const [index, line] of (text.value ?? "").split(/\r?\n/).entries()) {
    if (line === "" || line.startsWith("#")) continue;
    // What stands in a line is a secret, so only its number is told.
    const refuse = (message: string): void =>
      void issues.push({ path: "users", message: `line ${index + 1}: ${message}` });
    const colon = line.indexOf(":");
    const name = Buffer.from(line.slice(0, Math.max(colon, 0))).toString("latin1");
    const hash = line.slice(colon + 1);
    if (colon === -1) refuse("needed is name:{SHA}hash");
    else if (!/^[\x20-\x7e\x80-\xff]+$/.test(name)) refuse("the name is empty, or holds a control character");
    else if (!hash.startsWith("{SHA}")) refuse("the password has to be hashed with {SHA}, as htpasswd -s does");
    else if (!SHA1_BASE64.test(hash.slice(5))) refuse("the hash has to be the 28 characters of a SHA-1 in base64");
    else if (users.has(name)) refuse("the name has been seen before");
    else users.set(name, hash.slice(5));
  }
  return users;
}
