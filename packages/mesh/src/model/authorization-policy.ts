import type { Origin } from "./origin.ts";
import type { PolicyTarget } from "./policy-target.ts";

/** `AuthorizationPolicy` (heddle.dev/v1), decoded; fields and their meaning are Istio's. */
export interface AuthorizationPolicy {
  readonly kind: "authorization-policy";
  readonly namespace: string;
  readonly name: string;
  readonly createdAtMs: number | undefined;
  readonly target: PolicyTarget;
  /** AUDIT lets everything pass, and notes what it matches. CUSTOM asks the provider about it. */
  readonly action: "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";
  /** Of CUSTOM: the name of an `ExtensionProvider`. */
  readonly provider?: string;
  /** Matches what one of them matches; none matches nothing, so that an ALLOW without rules denies everything. */
  readonly rules: readonly AuthorizationRule[];
  readonly origin: Origin;
}

/** Matches where one of `from`, one of `to` and all of `when` match; an empty list asks nothing. */
export interface AuthorizationRule {
  /** Each: all of its criteria. */
  readonly from: readonly (readonly Criterion[])[];
  readonly to: readonly (readonly Criterion[])[];
  readonly when: readonly Criterion[];
}

/** The attribute has one of the values, and none of the others. */
export interface Criterion {
  readonly attribute: Attribute;
  /** Empty: asks nothing. One of the two lists is not empty. */
  readonly values: readonly string[];
  readonly notValues: readonly string[];
  readonly origin: Origin;
}

/**
 * What of a connection or a request is asked about, by the name that a condition has for it. Values are exact texts, or "*"
 * for whatever is there, "begin*" or "*end"; addresses are blocks, ports numbers.
 */
export type Attribute =
  /** "cluster.local/ns/shop/sa/web": the peer's verified SPIFFE ID without its scheme. */
  | { readonly type: "source.principal" }
  /** The peer's, by its verified SPIFFE ID. "*" may stand anywhere. */
  | { readonly type: "source.namespace" }
  /** "shop/web", namespace and name; exact. */
  | { readonly type: "source.serviceAccount" }
  /** Of the connection. */
  | { readonly type: "source.ip" }
  /** Of the client, by `x-forwarded-for` where that is believed. */
  | { readonly type: "remote.ip" }
  | { readonly type: "destination.ip" }
  | { readonly type: "destination.port" }
  /** SNI. */
  | { readonly type: "connection.sni" }
  | { readonly type: "request.host" }
  | { readonly type: "request.method" }
  /** Without its query. Values may be templates: "/a/{*}/b", "/a/{**}". */
  | { readonly type: "request.path" }
  /** Name in lower case. */
  | { readonly type: "request.headers"; readonly name: string }
  /** "<issuer>/<subject>" of the verified token. */
  | { readonly type: "request.auth.principal" }
  | { readonly type: "request.auth.audiences" }
  | { readonly type: "request.auth.presenter" }
  /** A claim that is text or a list of texts; its path has at least one name. */
  | { readonly type: "request.auth.claims"; readonly path: readonly string[] };

/** Attributes that only an HTTP request has. */
export function isOfHttp({ type }: Attribute): boolean {
  return type.startsWith("request.");
}
