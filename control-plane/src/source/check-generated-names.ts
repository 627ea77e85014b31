import type { Diagnostic } from "@heddle/config";
import { diagnosticAt, formatOrigin, parseOutboundClusterName } from "@heddle/mesh";
import type { World } from "./merge.ts";
import type { RawResource } from "./raw-resource.ts";

/** Raw resources with the name of a generated one, without saying that they take its place: the generated one serves. */
export function checkGeneratedNames(world: World): readonly Diagnostic[] {
  return world.rawResources
    .filter(
      ({ override, name }) =>
        !override && /^(outbound|inbound\/\d+|outbound\/\d+\/[^/]+|(jwks|ext-authz)\/.+)$/.test(name),
    )
    .map((raw) => {
      const message = `"${raw.name}" is the name of ${generatedBy(world, raw)}, which serves; give it another name, or say "override: true"`;
      return diagnosticAt(raw.origin, "error", message);
    });
}

function generatedBy({ mesh }: World, { name }: RawResource): string {
  const host = parseOutboundClusterName(name);
  const service = host === undefined ? undefined : mesh.service(host.namespace, host.name);
  if (service === undefined) return "a resource that is generated for sidecars";
  return `what is generated of the Service "${service.name}" in ${formatOrigin(service.origin)}`;
}
