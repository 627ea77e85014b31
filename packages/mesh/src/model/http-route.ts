import type { Origin } from "./origin.ts";
import type { BackendRef, ParentService } from "./route-ends.ts";

/** How requests to a service are routed: a Gateway API HTTPRoute or GRPCRoute whose parents are Services (GAMMA), decoded. */
export interface HttpRoute {
  readonly kind: "http-route" | "grpc-route";
  readonly namespace: string;
  readonly name: string;
  /** Milliseconds since the Unix epoch; older routes win ties. Undefined (a file without one) is younger than all. */
  readonly createdAtMs: number | undefined;
  readonly parents: readonly ParentService[];
  readonly rules: readonly RouteRule[];
  readonly origin: Origin;
}

export interface RouteRule {
  /** The rule's name, or its index as text. */
  readonly name: string;
  /** Any of them; never empty. */
  readonly matches: readonly RequestMatch[];
  readonly filters: RouteFilters;
  readonly backends: readonly Backend[];
  /** Whole request; 0 is no limit; undefined leaves it to us. */
  readonly requestTimeoutMs: number | undefined;
  /** One attempt. */
  readonly backendRequestTimeoutMs: number | undefined;
  /** Left out: each request is tried once. */
  readonly retry?: RouteRetry;
}

/** `HTTPRouteRetry` (GEP-1731): beside what has one of the codes, what has got no answer is tried again. */
export interface RouteRetry {
  /** Statuses, 400 to 599. */
  readonly codes: readonly number[];
  /** After the first one. */
  readonly attempts: number;
  /** Before the second attempt; undefined leaves it to us. */
  readonly backoffMs: number | undefined;
}

/** All of its parts must match. */
export interface RequestMatch {
  readonly path: {
    readonly type: "exact" | "prefix" | "regex";
    /** A prefix matches whole path elements and has no slash at its end, except "/" itself. */
    readonly value: string;
  };
  readonly method: string | undefined;
  /** Of a GRPCRoute: what `path` says, as it was written. */
  readonly grpc?: GrpcMethod;
  readonly headers: readonly ValueMatch[];
  readonly queryParameters: readonly ValueMatch[];
}

/** "" is any. */
export interface GrpcMethod {
  readonly type: "exact" | "regex";
  readonly service: string;
  readonly method: string;
}

export interface ValueMatch {
  /** Of a header in lower case. */
  readonly name: string;
  readonly type: "exact" | "regex";
  readonly value: string;
}

/** The standard's filters, each of which may stand once in a rule. */
export interface RouteFilters {
  readonly requestHeaders: HeaderChanges | undefined;
  readonly responseHeaders: HeaderChanges | undefined;
  readonly redirect: Redirect | undefined;
  readonly rewrite: Rewrite | undefined;
}

export interface HeaderChanges {
  readonly set: readonly HeaderValue[];
  readonly add: readonly HeaderValue[];
  readonly remove: readonly string[];
}

export interface HeaderValue {
  readonly name: string;
  readonly value: string;
}

export interface Redirect {
  readonly scheme: "http" | "https" | undefined;
  readonly hostname: string | undefined;
  readonly port: number | undefined;
  readonly path: PathChange | undefined;
  readonly statusCode: 301 | 302 | 303 | 307 | 308;
}

export interface Rewrite {
  readonly hostname: string | undefined;
  readonly path: PathChange | undefined;
}

/** `prefix` replaces what the rule's PathPrefix matched. */
export interface PathChange {
  readonly type: "full" | "prefix";
  readonly value: string;
}

export interface Backend extends BackendRef {
  /** Only header changes may stand at a backend. */
  readonly filters: RouteFilters;
}
