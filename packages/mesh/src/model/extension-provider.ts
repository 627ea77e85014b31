import type { Origin } from "./origin.ts";

/**
 * `ExtensionProvider` (heddle.dev/v1), decoded: a service that policies of action CUSTOM ask by its name. Fields and their
 * meaning are those of an entry of Istio's `extensionProviders`. It stands in the root namespace, and is for all namespaces.
 */
export interface ExtensionProvider {
  readonly kind: "extension-provider";
  readonly namespace: string;
  readonly name: string;
  readonly server: ProviderServer;
  /** Of one question. */
  readonly timeoutMs: number;
  /** Where the service cannot be asked, what it is asked about passes. */
  readonly failOpen: boolean;
  /** The status of what is denied since the service cannot be asked. */
  readonly statusOnError: number;
  /** Undefined: it is not told what is in the body. */
  readonly body: ProviderBody | undefined;
  readonly clearRouteCache: boolean;
  /** gRPC: `envoy.service.auth.v3.Authorization`. HTTP: a request like the one that it is asked about. */
  readonly asks: { readonly type: "grpc" } | ({ readonly type: "http" } & HttpQuestions);
  readonly origin: Origin;
}

/** Where it is: a service of this mesh, or whatever has that name in DNS, or that address. */
export type ProviderServer =
  | { readonly type: "service"; readonly name: string; readonly namespace: string; readonly port: number }
  | { readonly type: "host"; readonly host: string; readonly port: number };

export interface ProviderBody {
  readonly maxRequestBytes: number;
  readonly allowPartialMessage: boolean;
  readonly packAsBytes: boolean;
}

export interface HttpQuestions {
  readonly pathPrefix: string;
  /** Names of headers: "x-a", "x-a*", "*-a". */
  readonly includeRequestHeadersInCheck: readonly string[];
  readonly includeAdditionalHeadersInCheck: Readonly<Record<string, string>>;
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnDeny: readonly string[];
}
