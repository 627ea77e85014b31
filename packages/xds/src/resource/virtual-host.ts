import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import { checkRouteConfiguration, type VirtualHost } from "@heddle/traffic";
import { encodeJson } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import type { HttpFilterRegistry } from "./filter-config.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";
import { clusterReferences, decodeVirtualHost, encodeVirtualHost, routesWith } from "./route-configuration.ts";

export const VIRTUAL_HOST = "envoy.config.route.v3.VirtualHost";

/**
 * VHDS: one virtual host of a route configuration. A resource's name is "<route configuration>/<domain>" and stands in the envelope
 * alone: the message has the virtual host's own.
 */
export function makeVirtualHostType(httpFilters: HttpFilterRegistry): ResourceType<VirtualHost> {
  return {
    typeUrl: `type.googleapis.com/${VIRTUAL_HOST}`,
    kind: "virtual-host",
    completeInSotw: false,
    decode: (bytes) => decode(bytes, httpFilters),
    encode: (config) => encodeJson(VIRTUAL_HOST, encodeVirtualHost(config)),
    nameOf: (config) => config.name,
    references: (config) => clusterReferences(routesWith([config])),
  };
}

function decode(bytes: Uint8Array, httpFilters: HttpFilterRegistry): Result<Decoded<VirtualHost>, readonly string[]> {
  const message = decodeMessage(VIRTUAL_HOST, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(VIRTUAL_HOST, message.value));
  const fields = new Fields(VIRTUAL_HOST, message.value, "", findings);
  // How long an answer in place of the upstream's may be stands in the route configuration, which is not known here.
  const config = decodeVirtualHost(fields, { httpFilters, maxDirectResponseBodyBytes: Number.POSITIVE_INFINITY });
  for (const fault of checkRouteConfiguration(routesWith([config]))) {
    const colon = fault.indexOf(": ");
    fields.fail(fault.slice(0, colon).replace(/^virtual_hosts\[0\]\.?/, ""), fault.slice(colon + 2));
  }
  const { errors, unhonoured } = findings;
  return errors.length > 0 ? err(errors) : ok({ config, unhonoured });
}
