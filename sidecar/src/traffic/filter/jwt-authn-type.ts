import type { HttpFilterType } from "@heddle/filter";
import type { FilterData } from "./filter-data.ts";
import type { JwtAuthenticationConfig, JwtRouteConfig } from "./jwt/jwt-config.ts";
import { readJwtAuthentication, readJwtRoute } from "./jwt/read-jwt-config.ts";
import type { RemoteKeys } from "./jwt/remote-jwks.ts";
import { lazyFilter } from "./lazy-filter.ts";

/**
 * `envoy.filters.http.jwt_authn`: lets in who brings the tokens (RFC 7519) that the rules ask for. `data` reads keys that lie in
 * files; `remoteKeys` has those that are fetched, and is left out where nothing is served.
 */
export function jwtAuthnType(
  data: FilterData | undefined,
  remoteKeys: RemoteKeys | undefined,
): HttpFilterType<JwtAuthenticationConfig, JwtRouteConfig> {
  return lazyFilter(
    {
      name: "envoy.filters.http.jwt_authn",
      configType: "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
      routeConfigType: "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
      parse: (config) => readJwtAuthentication(config, data),
      parseRoute: readJwtRoute,
    },
    async () => {
      const { makeJwtFactory } = await import("./jwt/jwt-authn.ts");
      return { create: (config, context) => makeJwtFactory(config, context, remoteKeys) };
    },
  );
}
