import type { RequestHead } from "@heddle/http";
import { asBytes } from "../match/bytes.ts";
import { portStart } from "./path.ts";
import { type PathRewrite, PrefixRewrite, RegexRewrite } from "./rewrite.ts";
import type { RedirectAction } from "./route-config.ts";

/** Makes the `location` of a redirect as Envoy does (`Http::Utility::newUri`). */
export class Redirect {
  readonly responseCode: number;
  readonly #action: RedirectAction;
  readonly #rewrite: PathRewrite | undefined;

  constructor(action: RedirectAction) {
    this.responseCode = action.responseCode;
    this.#action = action;
    // An empty prefix is none, as in Envoy: to replace the prefix by nothing, "/" is said.
    if (action.path.type === "prefix" && action.path.value !== "") this.#rewrite = new PrefixRewrite(action.path.value);
    else if (action.path.type === "regex")
      this.#rewrite = new RegexRewrite(action.path.regex, action.path.substitution);
  }

  /** `matchedLength` characters of the path were matched by the route. */
  location(head: RequestHead, matchedLength: number): string {
    const scheme = this.#action.scheme ?? head.scheme;
    const path = this.#path(head.path, matchedLength);
    return `${scheme}://${this.#authority(head, scheme)}${path === "" || path.startsWith("/") ? "" : "/"}${path}`;
  }

  #authority(head: RequestHead, scheme: string): string {
    const { host, port } = this.#action;
    const newPort = port === undefined ? "" : `:${port}`;
    return (host ?? hostToKeep(head, scheme, port !== undefined)) + newPort;
  }

  #path(target: string, matchedLength: number): string {
    const { path, stripQuery } = this.#action;
    const query = target.indexOf("?");
    if (path.type === "path") {
      // A query of the redirect's own takes the place of the request's, whatever `strip_query` says.
      const value = asBytes(path.value);
      return value.includes("?") || stripQuery || query === -1 ? value : value + target.slice(query);
    }
    const kept = stripQuery && query !== -1 ? target.slice(0, query) : target;
    return this.#rewrite === undefined ? kept : this.#rewrite.rewrite(kept, matchedLength);
  }
}

/**
 * The request's host, without its port if a new one follows, or if the scheme changes and the port was the default of
 * the old one. What the client spoke is told by `x-forwarded-proto`, where TLS ended before us.
 */
function hostToKeep(head: RequestHead, newScheme: string, portFollows: boolean): string {
  const { authority } = head;
  const port = portStart(authority);
  if (port === -1) return authority;
  const oldScheme = head.headers.get("x-forwarded-proto") ?? head.scheme;
  const wasDefault = authority.slice(port) === (oldScheme === "https" ? ":443" : ":80");
  return portFollows || (newScheme !== oldScheme && wasDefault) ? authority.slice(0, port) : authority;
}
