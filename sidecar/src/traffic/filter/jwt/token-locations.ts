import type { RequestHead } from "@heddle/http";
import { cookieValues, queryValues, removeQueryParameter } from "../request-credentials.ts";
import type { TokenLocation } from "./jwt-config.ts";

/** Every token at that place, in their order. All of them count: the upstream may read any. */
export function tokensAt(request: RequestHead, location: TokenLocation): readonly string[] {
  switch (location.in) {
    case "header": {
      const { prefix } = location;
      return request.headers
        .getAll(location.name)
        .flatMap((value) => (prefix === "" ? [value] : (behind(value, prefix) ?? [])));
    }
    case "query":
      return queryValues(request, location.name);
    case "cookie":
      return cookieValues(request, location.name);
    default:
      throw new Error(`unknown place ${JSON.stringify(location satisfies never)}`);
  }
}

/** Takes what is there out of the request. Cookies stay, as in Envoy. */
export function removeTokens(request: RequestHead, location: TokenLocation): void {
  if (location.in === "header") request.headers.remove(location.name);
  else if (location.in === "query") removeQueryParameter(request, location.name);
}

/** As in Envoy the prefix may stand anywhere, and what can begin no token is skipped behind it. Undefined: it is not there. */
function behind(value: string, prefix: string): string | undefined {
  const at = value.indexOf(prefix);
  if (at === -1) return undefined;
  const rest = value.slice(at + prefix.length);
  const start = rest.search(/[A-Za-z0-9_.-]/);
  return start === -1 ? value : rest.slice(start);
}
