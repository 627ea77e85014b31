import type { MtlsMode, PeerAuthentication } from "../model/peer-authentication.ts";
import type { Field } from "./field.ts";
import { readMetadata } from "./metadata.ts";
import { readSelector } from "./read-policy-target.ts";

/** Reads `PeerAuthentication` (heddle.dev/v1), whose fields are those of Istio's. */
export function readPeerAuthentication(document: Field): PeerAuthentication {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, createdAtMs } = readMetadata(metadata, "subdomain");
  const fields = spec.object("selector", "mtls", "portLevelMtls");
  const target = readSelector(fields.selector);
  if (fields.portLevelMtls.present && target.labels === undefined)
    fields.portLevelMtls.error("needs a selector: ports are those of workloads");
  return {
    kind: "peer-authentication",
    namespace,
    name,
    createdAtMs,
    target,
    mode: readMode(fields.mtls),
    portModes: readPortModes(fields.portLevelMtls),
    origin: document.origin,
  };
}

/** `{ mode: STRICT }`. Undefined: UNSET, which leaves it to a wider policy. */
function readMode(mtls: Field): MtlsMode | undefined {
  const mode = mtls.object("mode").mode.oneOf("UNSET", "DISABLE", "PERMISSIVE", "STRICT") ?? "UNSET";
  return mode === "UNSET" ? undefined : mode;
}

function readPortModes(field: Field): ReadonlyMap<number, MtlsMode> {
  const modes = new Map<number, MtlsMode>();
  for (const [key, value] of field.entries()) {
    const port = /^[1-9]\d{0,4}$/.test(key) ? Number(key) : 0;
    if (port < 1 || port > 65_535) value.error(`"${key}" is no port, allowed: 1 to 65535`);
    const mode = readMode(value);
    if (mode !== undefined) modes.set(port, mode);
  }
  return modes;
}
