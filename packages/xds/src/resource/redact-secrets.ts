import type { Json } from "@heddle/base";

/** Fields of Envoy's API that are marked sensitive (`udpa.annotations.sensitive`), by name. */
const SENSITIVE: ReadonlySet<string> = new Set([
  "private_key", "private_key_provider", "password", "pkcs12", "session_ticket_keys", "generic_secret", "secret", "secrets",
  "hmac_secret", "token_secret", "client_secret", "auth_token", "auth_password", "auth_username", "access_token",
  "refresh_token", "key_file", "inline_key", "google_refresh_token", "json_key", "authorization_token", "secret_access_key",
  "session_token", "users",
  "credentials", "local_jwks", "context_extensions", "secret_data", "backend_token", "downstream_auth_password",
  "downstream_auth_passwords", "downstream_auth_username",
]); // biome-ignore format: a table

/** Where a header or metadata may carry a credential. */
const CREDENTIAL = /^(proxy-)?authorization$|^cookie$|api-?key|token$|secret|password/i;

/** The same JSON, with "[redacted]" for what nobody but its owner may read, wherever it stands. Names in either case. */
export function redactSecrets(json: Json): Json {
  if (Array.isArray(json)) return json.map(redactSecrets);
  if (typeof json !== "object" || json === null) return json;
  const object = json as { readonly [key: string]: Json };
  const isCredential = isNamedAsCredential(object);
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => {
      if (SENSITIVE.has(protoName(name)) || (isCredential && isHeaderValue(name))) return [name, redacted(value)];
      if (protoName(name) === "initial_metadata") return [name, withoutValues(value)];
      if (protoName(name) === ADDED_HEADERS) return [name, withoutCredentials(value)];
      return [name, redactSecrets(value)];
    }),
  );
}

/** Whether it is a header, or the like, that carries a credential by its name. */
export function isNamedAsCredential(object: { readonly [key: string]: Json }): boolean {
  return [object["key"], object["name"]].some((name) => typeof name === "string" && CREDENTIAL.test(name));
}

/** Whether a field of that name is what the header has for a value (`HeaderValue`). Names in either case. */
export function isHeaderValue(field: string): boolean {
  return field === "value" || protoName(field) === "raw_value";
}

/** Of `ExtensionProvider`: values by the names of headers. */
const ADDED_HEADERS = "include_additional_headers_in_check";

function withoutCredentials(headers: Json): Json {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) return redacted(headers);
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, CREDENTIAL.test(name) ? redacted(value) : value]),
  );
}

/** `GrpcService.initial_metadata` is what a server asks for to let somebody in, whatever it is called. */
function withoutValues(headers: Json): Json {
  if (!Array.isArray(headers)) return redacted(headers);
  return headers.map((header: Json) => {
    if (typeof header !== "object" || header === null || Array.isArray(header)) return redacted(header);
    return Object.fromEntries(
      Object.entries(header).map(([name, value]) => [name, name === "key" ? value : redacted(value)]),
    );
  });
}

/** Keeps the shape, so that whoever reads the dump sees what kind of secret there is, and the name of a file with it. */
function redacted(value: Json): Json {
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== "object" || value === null) return "[redacted]";
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      name === "filename" || name === "@type" || name === "name" ? inner : redacted(inner),
    ]),
  );
}

/** Whether a field of that name (as in the .proto file) is one that nobody but its owner may read. */
export function isSensitive(field: string): boolean {
  return SENSITIVE.has(field);
}

/** Proto JSON writes a field in either case: "privateKey" is private_key. */
export function protoName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
