import type { QueryParameterMatcherConfig } from "../route/route-config.ts";
import { compileStringMatcher, type StringMatcher } from "./string-matcher.ts";

/** The query of one request: name, value, name, value … in their order, percent-decoded. */
export type QueryParameters = readonly string[];

/** One condition on the query (`envoy.config.route.v3.QueryParameterMatcher`), compiled. */
export class QueryMatcher {
  readonly #name: string;
  readonly #test: StringMatcher | undefined;

  constructor(config: QueryParameterMatcherConfig) {
    this.#name = config.name;
    this.#test = config.match.type === "string" ? compileStringMatcher(config.match.matcher) : undefined;
  }

  /** Of a repeated parameter the first value counts, as in Envoy. */
  matches(parameters: QueryParameters): boolean {
    for (let i = 0; i < parameters.length; i += 2) {
      if (parameters[i] === this.#name) return this.#test === undefined || this.#test.test(parameters[i + 1]!); // pairs
    }
    return false;
  }

  toString(): string {
    return `query ${this.#name} ${this.#test === undefined ? "is present" : this.#test.toString()}`;
  }
}

/** Takes the query out of a request target and splits it. Names and values are percent-decoded to bytes; `+` stays. */
export function parseQuery(path: string): QueryParameters {
  const start = path.indexOf("?");
  if (start === -1) return [];
  const hash = path.indexOf("#", start);
  const parameters: string[] = [];
  for (const part of path.slice(start + 1, hash === -1 ? undefined : hash).split("&")) {
    const equals = part.indexOf("=");
    if (equals === -1) parameters.push(percentDecode(part), "");
    else parameters.push(percentDecode(part.slice(0, equals)), percentDecode(part.slice(equals + 1)));
  }
  return parameters;
}

function percentDecode(text: string): string {
  if (!text.includes("%")) return text;
  return text.replace(ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const ESCAPE = /%([0-9a-fA-F]{2})/g;
