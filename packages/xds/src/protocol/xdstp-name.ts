import { err, ok, type Result } from "@heddle/base";

/*
 * Structured resource names (cncf/xds TP1, gRFC A47):
 *
 *     xdstp://{authority}/{resource type}/{id}?{context parameters}
 *
 * Context parameters are a set: two names that list them in different orders are one name. An id that ends in "/*" names a
 * collection: everything whose id lies directly in that folder. Every name that does not begin with "xdstp:" is opaque.
 */

const SCHEME = "xdstp:";

export interface XdstpName {
  /** Who answers for the name; a bootstrap maps it to servers. May be empty. */
  readonly authority: string;
  /** "envoy.config.cluster.v3.Cluster": a type URL without its prefix. */
  readonly resourceType: string;
  /** With its slashes; decoded. */
  readonly id: string;
  readonly context: ReadonlyMap<string, string>;
}

export function isXdstpName(name: string): boolean {
  return name.startsWith(SCHEME);
}

/** Reads a name that begins with "xdstp:". On failure what was found and what is allowed. */
export function parseXdstpName(name: string): Result<XdstpName, string> {
  const bad = (why: string) => err(`"${name}": ${why}; allowed: xdstp://AUTHORITY/TYPE/ID?KEY=VALUE&KEY=VALUE`);
  const match = /^xdstp:\/\/([^/?#]*)\/([^/?#]+)\/([^?#]+)(?:\?([^#]*))?$/.exec(name);
  if (match === null) return bad(name.includes("#") ? "directives (#) are of locators, not of names" : "it is no name");
  const [, authority = "", resourceType = "", id = "", query = ""] = match;
  const context = new Map<string, string>();
  try {
    for (const pair of query === "" ? [] : query.split("&")) {
      const equals = pair.indexOf("=");
      if (equals < 1) return bad(`the context parameter "${pair}" is not KEY=VALUE`);
      const key = decodeURIComponent(pair.slice(0, equals));
      if (context.has(key)) return bad(`the context parameter "${key}" is there twice`);
      context.set(key, decodeURIComponent(pair.slice(equals + 1)));
    }
    return ok({
      authority: decodeURIComponent(authority),
      resourceType: decodeURIComponent(resourceType),
      id: decodeURIComponent(id),
      context,
    });
  } catch {
    return bad("a % is not followed by two hexadecimal digits of UTF-8");
  }
}

/** The one spelling of a name: context parameters sorted by key, and nothing escaped that need not be. */
export function formatXdstpName({ authority, resourceType, id, context }: XdstpName): string {
  const query = [...context]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${percentEncode(key, IN_QUERY)}=${percentEncode(value, IN_QUERY)}`)
    .join("&");
  const path = `${percentEncode(authority, IN_AUTHORITY)}/${percentEncode(resourceType, IN_AUTHORITY)}/${percentEncode(id, IN_ID)}`;
  return `${SCHEME}//${path}${query === "" ? "" : `?${query}`}`;
}

/** The same for every spelling of a structured name. What is opaque, or no name at all, stays as it is. */
export function canonicalName(name: string): string {
  if (!isXdstpName(name)) return name;
  const parsed = parseXdstpName(name);
  return parsed.ok ? formatXdstpName(parsed.value) : name;
}

/** Whether the name stands for all resources of a folder. */
export function isCollection(name: string): boolean {
  if (!isXdstpName(name) || !name.includes("*")) return false;
  const parsed = parseXdstpName(name);
  return parsed.ok && (parsed.value.id === "*" || parsed.value.id.endsWith("/*"));
}

/** The collection that has this resource in it, in the one spelling; undefined for opaque names and for collections. */
export function collectionOf(name: string): string | undefined {
  if (!isXdstpName(name)) return undefined;
  const parsed = parseXdstpName(name);
  if (!parsed.ok) return undefined;
  const { id } = parsed.value;
  const folder = id.slice(0, id.lastIndexOf("/") + 1);
  return id === `${folder}*` ? undefined : formatXdstpName({ ...parsed.value, id: `${folder}*` });
}

/* What has a meaning of its own at each place, as Envoy's names are written. */
const IN_AUTHORITY = /[%/?#]/g;
const IN_ID = /[%:?#[\]]/g;
const IN_QUERY = /[%#[\]&=]/g;

function percentEncode(text: string, reserved: RegExp): string {
  return text.replace(reserved, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
