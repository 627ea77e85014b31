import type { Origin } from "./origin.ts";
import type { PolicyTarget } from "./policy-target.ts";

/**
 * `RequestAuthentication` (heddle.dev/v1), decoded: whose tokens a workload believes. A request with a token that is not
 * right is refused; one without a token passes, and has no `request.auth.principal`.
 */
export interface RequestAuthentication {
  readonly kind: "request-authentication";
  readonly namespace: string;
  readonly name: string;
  readonly createdAtMs: number | undefined;
  readonly target: PolicyTarget;
  readonly rules: readonly JwtRule[];
  readonly origin: Origin;
}

export interface JwtRule {
  readonly issuer: string;
  /** One of them; empty: any. */
  readonly audiences: readonly string[];
  readonly keys: JwtKeys;
  /** Where the token may stand. All three empty: `authorization: Bearer` and the parameter `access_token`. */
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** The verified payload, base64url, goes to the application in this header. */
  readonly outputPayloadToHeader: string | undefined;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** The application gets the token as well. */
  readonly forwardOriginalToken: boolean;
  /** Claims that are lists written as one text, besides "scope" and "permission". */
  readonly spaceDelimitedClaims: readonly string[];
  /** For fetching the keys. */
  readonly timeoutMs: number;
}

export type JwtKeys =
  /** inline: a JSON Web Key Set, as text. */
  | { readonly type: "inline"; readonly jwks: string }
  | { readonly type: "remote"; readonly uri: JwksUri }
  /** The issuer says where they are. Where this is left, it has not done so yet. */
  | { readonly type: "discovered" };

export interface JwksUri {
  /** As it was written. */
  readonly text: string;
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
}
