import type { RequestHead } from "@heddle/http";
import type { TlsInfo } from "@heddle/net";
import type { Fraction } from "../listener/tracing-config.ts";
import { asBytes } from "../match/bytes.ts";
import { compileHeaderMatcher, type HeaderMatcher } from "../match/header-matcher.ts";
import { parseQuery, QueryMatcher, type QueryParameters } from "../match/query-matcher.ts";
import { compileSafeRegex } from "../match/safe-regex.ts";
import { asciiLower } from "../match/string-matcher.ts";
import { fractionSource, NO_RUNTIME } from "../runtime/live-runtime.ts";
import type { ClientCertificateMatch, RouteMatch } from "./route-config.ts";

/** What a route's path condition may be, compiled. `path` has neither query nor fragment; "" for CONNECT. */
export interface PathMatcher {
  test(path: string, head: RequestHead): boolean;
  /** How many characters of a matching path a prefix rewrite replaces. */
  matchedLength(path: string): number;
  toString(): string;
}

/** All conditions of one route. */
export class RouteMatcher {
  readonly path: PathMatcher;
  /** Any path but "" that begins with the prefix matches. */
  readonly #isPrefix: boolean;
  readonly #headers: readonly HeaderMatcher[];
  readonly #query: readonly QueryMatcher[];
  readonly #grpc: boolean;
  readonly #fraction: Fraction | undefined;
  readonly #certificate: ClientCertificateMatch | undefined;

  constructor(match: RouteMatch, runtime = NO_RUNTIME) {
    this.path = compilePath(match);
    this.#isPrefix = match.path.type === "prefix" && match.caseSensitive;
    this.#headers = match.headers.map(compileHeaderMatcher);
    this.#query = match.queryParameters.map((config) => new QueryMatcher(config));
    this.#grpc = match.grpc;
    this.#fraction = match.runtimeFraction && fractionSource(match.runtimeFraction, runtime);
    this.#certificate = match.clientCertificate;
  }

  /** `random` is a whole number, drawn once per exchange. `begins`: the path is known to begin with the route's. */
  matches(request: RequestToMatch, random: number, begins = false): boolean {
    const { head, path } = request;
    const isKnown = begins && this.#isPrefix && path !== "";
    if (!isKnown && !this.path.test(path, head)) return false;
    if (this.#fraction !== undefined && random % this.#fraction.denominator >= this.#fraction.numerator) return false;
    if (this.#grpc && !isGrpc(head)) return false;
    if (this.#certificate !== undefined && !fitsCertificate(this.#certificate, request.tls)) return false;
    for (const matcher of this.#headers) if (!matcher.matches(head)) return false;
    for (const matcher of this.#query) if (!matcher.matches(request.query)) return false;
    return true;
  }

  toString(): string {
    const conditions = [this.path, ...this.#headers, ...this.#query].map((condition) => condition.toString());
    if (this.#grpc) conditions.push("is gRPC");
    if (this.#fraction !== undefined) conditions.push(`${this.#fraction.numerator} of ${this.#fraction.denominator}`);
    const { presented, validated } = this.#certificate ?? {};
    if (presented !== undefined) conditions.push(`${presented ? "a" : "no"} client certificate`);
    if (validated !== undefined) conditions.push(`client certificate ${validated ? "" : "not "}validated`);
    return conditions.join(", ");
  }
}

/** A head with what matching derives from it, each at most once however many routes ask. */
export class RequestToMatch {
  readonly head: RequestHead;
  readonly path: string;
  /** Of the client's connection. Undefined: it came in plaintext. */
  readonly tls: TlsInfo | undefined;
  #query: QueryParameters | undefined;

  constructor(head: RequestHead, path: string, tls: TlsInfo | undefined) {
    this.head = head;
    this.path = path;
    this.tls = tls;
  }

  /** Parsed at the first question, since most routes ask none. */
  get query(): QueryParameters {
    this.#query ??= parseQuery(this.head.path);
    return this.#query;
  }
}

function fitsCertificate({ presented, validated }: ClientCertificateMatch, tls: TlsInfo | undefined): boolean {
  if (presented !== undefined && presented !== (tls?.peer !== undefined)) return false;
  return validated === undefined || validated === (tls?.peerVerified === true);
}

/** As in Envoy: `application/grpc`, alone or followed by `+` and a format. */
function isGrpc(head: RequestHead): boolean {
  const type = head.headers.get("content-type");
  return type?.startsWith(GRPC) === true && (type.length === GRPC.length || type[GRPC.length] === "+");
}

const GRPC = "application/grpc";

function compilePath(match: RouteMatch): PathMatcher {
  const { path, caseSensitive } = match;
  switch (path.type) {
    case "prefix":
    case "path":
    case "path-separated-prefix": {
      const value = asBytes(path.value);
      const literal = new LiteralPath(path.type, caseSensitive ? value : asciiLower(value), LITERAL_TESTS[path.type]);
      return caseSensitive ? literal : new AnyCase(literal);
    }
    case "safe-regex": {
      const regex = compileSafeRegex(path.regex);
      if (!regex.ok) throw new Error(regex.error);
      const { value } = regex;
      return {
        test: (text) => text !== "" && value.test(text),
        matchedLength: (text) => text.length,
        toString: () => `path ${value.toString()}`,
      };
    }
    case "connect":
      return CONNECT;
    default:
      throw new Error(`unknown path match ${JSON.stringify(path satisfies never)}`);
  }
}

type LiteralTest = (path: string, value: string) => boolean;

const LITERAL_TESTS: Readonly<Record<"prefix" | "path" | "path-separated-prefix", LiteralTest>> = {
  prefix: (path, value) => path !== "" && path.startsWith(value),
  path: (path, value) => path === value && path !== "",
  "path-separated-prefix": (path, value) =>
    path.startsWith(value) && (path.length === value.length || path.charCodeAt(value.length) === SLASH),
};

const SLASH = 0x2f;

class LiteralPath implements PathMatcher {
  readonly #type: string;
  readonly #value: string;
  readonly #test: LiteralTest;

  constructor(type: string, value: string, test: LiteralTest) {
    this.#type = type;
    this.#value = value;
    this.#test = test;
  }

  test(path: string): boolean {
    return this.#test(path, this.#value);
  }

  matchedLength(): number {
    return this.#value.length;
  }

  toString(): string {
    return `${this.#type} "${this.#value}"`;
  }
}

class AnyCase implements PathMatcher {
  readonly #inner: LiteralPath;

  constructor(inner: LiteralPath) {
    this.#inner = inner;
  }

  test(path: string): boolean {
    return this.#inner.test(asciiLower(path));
  }

  matchedLength(): number {
    return this.#inner.matchedLength();
  }

  toString(): string {
    return `${this.#inner.toString()} (any case)`;
  }
}

/** A tunnel (RFC 9110 §9.3.6). An extended CONNECT (RFC 8441) has a path and is routed by it, as Envoy does. */
const CONNECT: PathMatcher = {
  test: (_, head) => head.method === "CONNECT" && head.upgrade === undefined,
  matchedLength: (path) => path.length,
  toString: () => "CONNECT",
};
