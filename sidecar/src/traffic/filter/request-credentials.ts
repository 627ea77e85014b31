import type { RequestHead } from "@heddle/http";
import { parseQuery } from "@heddle/traffic";

/* Where requests carry credentials, beside fields of the head: their cookies and the query. */

/** The values of the cookies of that name, in their order and without quotes. A request may have more than one. */
export function cookieValues({ headers }: RequestHead, name: string): string[] {
  const values: string[] = [];
  for (const field of headers.getAll("cookie")) {
    for (const pair of field.split(";")) {
      const equals = pair.indexOf("=");
      if (equals !== -1 && pair.slice(0, equals).trim() === name) values.push(unquoted(pair.slice(equals + 1).trim()));
    }
  }
  return values;
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

/** Takes every cookie of that name out of the request. */
export function removeCookie({ headers }: RequestHead, name: string): void {
  const fields = headers.getAll("cookie");
  if (fields.length === 0) return;
  const kept = fields.map((field) =>
    field
      .split(";")
      .filter((pair) => (pair.includes("=") ? pair.slice(0, pair.indexOf("=")) : pair).trim() !== name)
      .join(";")
      .trim(),
  );
  headers.remove("cookie");
  for (const field of kept) if (field !== "") headers.append("cookie", field);
}

/** The values of the parameters of that name, decoded, in their order. */
export function queryValues({ path }: RequestHead, name: string): string[] {
  if (!path.includes("?")) return [];
  const parameters = parseQuery(path);
  return parameters.filter((_, i) => i % 2 === 1 && parameters[i - 1] === name);
}

/** Takes every parameter of that name out of the request's target. The others stay as they were written. */
export function removeQueryParameter(head: RequestHead, name: string): void {
  const start = head.path.indexOf("?");
  if (start === -1) return;
  const kept = head.path
    .slice(start + 1)
    .split("&")
    .filter((pair) => parseQuery(`?${pair}`)[0] !== name);
  head.path = head.path.slice(0, start) + (kept.length === 0 ? "" : `?${kept.join("&")}`);
}

const MAX_REALM_PATH = 256;

/**
 * What a refused request had asked for, as the realm of a challenge (as Envoy has it). Without the query, which may carry a token,
 * and with no character that would end the quoted string (RFC 9110 §5.6.4).
 */
export function realmOf({ scheme, authority, path }: RequestHead): string {
  const end = path.search(/[?#]/);
  const bare = (end === -1 ? path : path.slice(0, end)).slice(0, MAX_REALM_PATH);
  return `${scheme}://${authority}${bare}`.replaceAll(/["\\]/g, (character) => encodeURIComponent(character));
}
