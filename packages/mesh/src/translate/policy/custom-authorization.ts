import type { JsonObject } from "@heddle/base";
import type { AuthorizationPolicy } from "../../model/authorization-policy.ts";
import type { ExtensionProvider, ProviderServer } from "../../model/extension-provider.ts";
import { outboundClusterName, type ServiceHost } from "../names.ts";
import type { PortKind } from "./authorization.ts";

/** A filter's name, its type and what it is told. */
export interface MadeFilter {
  readonly name: string;
  readonly type: string;
  readonly config: JsonObject;
}

const RBAC = { http: "envoy.filters.http.rbac", tcp: "envoy.filters.network.rbac" } as const;
const RBAC_TYPE = {
  http: "envoy.extensions.filters.http.rbac.v3.RBAC",
  tcp: "envoy.extensions.filters.network.rbac.v3.RBAC",
} as const;
const EXT_AUTHZ_TYPE = {
  http: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
  tcp: "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
} as const;

/**
 * The filters of CUSTOM policies, as Istio has them: RBAC notes, without denying, what one of them matches, and ext_authz asks
 * the provider about what is noted. What cannot be asked about is denied: where there is no such provider, and at a TCP port
 * where the provider takes requests alone.
 *
 * @param rulesOf `envoy.config.rbac.v3.Policy` by name, of one policy at that port
 */
export function customAuthorization(
  policies: readonly AuthorizationPolicy[],
  providers: readonly ExtensionProvider[],
  kind: PortKind,
  rulesOf: (policy: AuthorizationPolicy) => readonly (readonly [string, JsonObject])[],
): readonly MadeFilter[] {
  const byProvider = Map.groupBy(policies, ({ provider }) => provider ?? "");
  return [...byProvider].flatMap(([name, some]) => {
    const rules: JsonObject = { action: "DENY", policies: Object.fromEntries(some.flatMap(rulesOf)) };
    const provider = providers.find((one) => one.name === name);
    const suffix = `custom_${name}`;
    if (provider === undefined || (kind === "tcp" && provider.asks.type === "http"))
      return [rbac(kind, suffix, { rules })];
    const prefix = `${suffix}_`;
    return [
      rbac(kind, suffix, { shadowRules: rules, shadowRulesStatPrefix: prefix }),
      { name: `ext_authz_${name}`, type: EXT_AUTHZ_TYPE[kind], config: asking(provider, kind, prefix) },
    ];
  });
}

function rbac(kind: PortKind, suffix: string, config: JsonObject): MadeFilter {
  return {
    name: `rbac_${suffix}`,
    type: RBAC_TYPE[kind],
    config: { ...(kind === "tcp" && { statPrefix: "authorization" }), ...config },
  };
}

function asking(provider: ExtensionProvider, kind: PortKind, prefix: string): JsonObject {
  const { asks, failOpen, statusOnError, body, clearRouteCache, name } = provider;
  const service =
    asks.type === "grpc"
      ? { grpcService: { envoyGrpc: grpcTarget(provider), timeout: timeoutOf(provider) } }
      : httpService(provider, asks);
  return {
    ...service,
    transportApiVersion: "V3",
    statPrefix: name,
    failureModeAllow: failOpen,
    // What the filter before has noted.
    filterEnabledMetadata: {
      filter: RBAC[kind],
      path: [{ key: `${prefix}shadow_effective_policy_id` }],
      value: { stringMatch: { prefix: "ns[" } },
    },
    ...(kind === "http" && {
      statusOnError: { code: statusOnError },
      clearRouteCache,
      ...(body !== undefined && { withRequestBody: { ...body } }),
    }),
  };
}

/** With an authority, which by default is the cluster's name: ours have slashes, and no server on nghttp2 takes that for one. */
function grpcTarget(provider: ExtensionProvider): JsonObject {
  return { clusterName: providerClusterName(provider), authority: authorityOf(provider) };
}

function authorityOf({ server }: ExtensionProvider): string {
  const host = server.type === "service" ? `${server.name}.${server.namespace}` : server.host;
  return `${host.includes(":") ? `[${host}]` : host}:${server.port}`;
}

function httpService(
  provider: ExtensionProvider,
  asks: Extract<ExtensionProvider["asks"], { type: "http" }>,
): JsonObject {
  const patterns = (names: readonly string[]): JsonObject => ({ patterns: names.map(nameMatcher) });
  const headers = Object.entries(asks.includeAdditionalHeadersInCheck);
  return {
    httpService: {
      serverUri: {
        uri: `http://${authorityOf(provider)}`,
        cluster: providerClusterName(provider),
        timeout: timeoutOf(provider),
      },
      ...(asks.pathPrefix !== "" && { pathPrefix: asks.pathPrefix }),
      ...(headers.length > 0 && {
        // A percent sign would begin a command.
        authorizationRequest: {
          headersToAdd: headers.map(([key, value]) => ({ key, value: value.replaceAll("%", "%%") })),
        },
      }),
      authorizationResponse: {
        ...(asks.headersToUpstreamOnAllow.length > 0 && {
          allowedUpstreamHeaders: patterns(asks.headersToUpstreamOnAllow),
        }),
        ...(asks.headersToDownstreamOnAllow.length > 0 && {
          allowedClientHeadersOnSuccess: patterns(asks.headersToDownstreamOnAllow),
        }),
        ...(asks.headersToDownstreamOnDeny.length > 0 && {
          allowedClientHeaders: patterns(asks.headersToDownstreamOnDeny),
        }),
      },
    },
    ...(asks.includeRequestHeadersInCheck.length > 0 && {
      allowedHeaders: patterns(asks.includeRequestHeadersInCheck),
    }),
  };
}

function nameMatcher(name: string): JsonObject {
  const ignoreCase = true;
  if (name === "*") return { safeRegex: { regex: ".*" } };
  if (name.endsWith("*")) return { prefix: name.slice(0, -1), ignoreCase };
  return name.startsWith("*") ? { suffix: name.slice(1), ignoreCase } : { exact: name, ignoreCase };
}

function timeoutOf({ timeoutMs }: ExtensionProvider): string {
  return `${timeoutMs / 1000}s`;
}

/** Of the cluster that is asked: that of a service of the mesh, or one of its own. */
export function providerClusterName({ name, server }: Pick<ExtensionProvider, "name" | "server">): string {
  return server.type === "service"
    ? outboundClusterName(server.namespace, server.name, server.port)
    : `ext-authz/${name}`;
}

/** The services of the mesh that a workload's policies ask: its sidecar has to reach them, whatever its application may call. */
export function askedServices(providers: readonly ExtensionProvider[]): readonly ServiceHost[] {
  const services = providers.map(({ server }) => server).filter(isService);
  return services.map(({ name, namespace, port }) => ({ name, namespace, port }));
}

function isService(server: ProviderServer): server is Extract<ProviderServer, { type: "service" }> {
  return server.type === "service";
}
