import type { RouteMatch, StringMatcherConfig } from "@heddle/traffic";
import type { VerificationKey } from "./read-jwks.ts";
import type { RemoteJwks } from "./remote-jwks.ts";

/* `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`, decoded. */

export interface JwtAuthenticationConfig {
  readonly providers: ReadonlyMap<string, JwtProviderConfig>;
  /** The first that matches counts. Undefined: it asks for nothing. */
  readonly rules: readonly { readonly match: RouteMatch; readonly requirement: JwtRequirement | undefined }[];
  /** For routes, which name them. */
  readonly requirements: ReadonlyMap<string, JwtRequirement>;
  readonly bypassCorsPreflight: boolean;
  readonly stripFailureResponse: boolean;
  readonly statPrefix: string;
}

export interface JwtProviderConfig {
  readonly name: string;
  /** "": any. */
  readonly issuer: string;
  /** As `comparableAudience`. Empty: any. */
  readonly audiences: ReadonlySet<string>;
  readonly subjects: StringMatcherConfig | undefined;
  /** How long a token may count from now on, in seconds; Infinity: it only has to say how long. Undefined: it need not. */
  readonly maxLifetimeSeconds: number | undefined;
  readonly keys:
    | { readonly from: "remote"; readonly source: RemoteJwks }
    /** Undefined: they lie on another machine. */
    | { readonly from: "local"; readonly keys: readonly VerificationKey[] | undefined };
  /** The token goes on to the upstream. */
  readonly forward: boolean;
  readonly locations: readonly TokenLocation[];
  /** Lower case, as are all fields; "" for none, as all names below. */
  readonly forwardPayloadHeader: string;
  readonly padsPayload: boolean;
  readonly payloadInMetadata: string;
  /** Of these claims the words become a list in the metadata. */
  readonly spaceDelimitedClaims: readonly string[];
  readonly headerInMetadata: string;
  readonly failedStatusInMetadata: string;
  readonly clockSkewSeconds: number; // 60
  readonly cache: { readonly tokens: number; readonly maxTokenCharacters: number };
  readonly claimHeaders: readonly { readonly header: string; readonly path: readonly string[] }[];
  readonly clearRouteCache: boolean;
}

export type TokenLocation =
  | { readonly in: "header"; readonly name: string; readonly prefix: string }
  | { readonly in: "query" | "cookie"; readonly name: string };

export type JwtRequirement =
  /** `audiences`: instead of the provider's own. */
  | { readonly type: "provider"; readonly provider: string; readonly audiences: ReadonlySet<string> | undefined }
  /** What is allowed beside counts when none of them is met. */
  | { readonly type: "any"; readonly of: readonly JwtRequirement[]; readonly allows: "nothing" | "missing" | "failed" }
  | { readonly type: "all"; readonly of: readonly JwtRequirement[] }
  /** Tokens of any provider; `failed`: none has to be good, else none may be bad. */
  | { readonly type: "optional"; readonly failed: boolean }
  | { readonly type: "nothing" };

/** `PerRouteConfig`. Undefined: the route asks for nothing. */
export interface JwtRouteConfig {
  readonly requirementName: string | undefined;
}

/** Audiences are compared without scheme and last slash, as in Envoy: "https://a/" is "a". */
export function comparableAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, "").replace(/\/$/, "");
}
