import type { FieldReport, ResourceTypes } from "@heddle/xds";
import type { Draft } from "./manifest.ts";
import type { ApiDiagnostic } from "./wire.ts";

/**
 * What a sidecar of ours says of an xDS resource: why it would refuse it, and what in it has no effect there. Warnings,
 * since the resource may be for an Envoy, and since a sidecar says it itself when it gets it.
 */
export function verdictOf({ item, diagnostic }: Draft, types: ResourceTypes): readonly ApiDiagnostic[] {
  if (item.kind !== "raw") return [];
  const type = Object.values(types).find(({ typeUrl }) => typeUrl === item.typeUrl);
  if (type === undefined)
    return [diagnostic("", `a sidecar asks for no ${item.typeName}; other clients may`, "warning")];
  const decoded = type.decode(item.bytes);
  if (decoded.ok)
    return decoded.value.unhonoured.map(({ path, note }: FieldReport) => diagnostic(path, note, "warning"));
  return decoded.error.map((reason: string) => {
    const colon = reason.indexOf(": ");
    const [path, message] = colon < 0 ? ["", reason] : [reason.slice(0, colon), reason.slice(colon + 2)];
    return diagnostic(path, `a sidecar refuses it: ${message}`, "warning");
  });
}
