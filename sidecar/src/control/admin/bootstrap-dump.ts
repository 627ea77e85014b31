import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import type { SidecarBootstrap } from "@heddle/config";
import { messageFromJson, messageToJson } from "@heddle/proto";
import { redactSecrets } from "@heddle/xds";
import { addressJson } from "./address-form.ts";
import { DumpFields, DumpList, type DumpTree, each } from "./dump-tree.ts";
import { nodeJson } from "./node-json.ts";
import { withProtoNames } from "./proto-names.ts";

const BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap";

/** The lists of `static_resources`, the one part of a bootstrap that may be long. */
const STATIC_LISTS: ReadonlyMap<string, string> = new Map([
  ["listeners", "envoy.config.listener.v3.Listener"],
  ["clusters", "envoy.config.cluster.v3.Cluster"],
  ["secrets", "envoy.extensions.transport_sockets.tls.v3.Secret"],
]);

/** `envoy.admin.v3.BootstrapConfigDump`: the bootstrap as it was written, without secrets. */
export function bootstrapFields({
  bootstrap,
  startedWallMs,
}: {
  readonly bootstrap: SidecarBootstrap;
  readonly startedWallMs: number;
}): Record<string, DumpTree> {
  const { node, admin, document } = bootstrap;
  const { static_resources: snake, staticResources: camel = snake, ...rest } = document as Record<string, Json>;
  const lists = staticLists(camel);
  const fields: Record<string, DumpTree> = {
    ...(redactSecrets(readable(BOOTSTRAP, lists === undefined ? document : rest)) as JsonObject),
    ...(lists === undefined ? {} : { static_resources: lists }),
    node: nodeJson(node),
    ...(admin === undefined ? {} : { admin: { address: addressJson(admin) } }),
  };
  return { bootstrap: new DumpFields(Object.entries(fields)), last_updated: new Date(startedWallMs).toISOString() };
}

/** Undefined where there is anything else than these lists. */
function staticLists(resources: Json | undefined): DumpFields | undefined {
  if (resources === undefined || !isJsonObject(resources)) return undefined;
  const fields: (readonly [string, DumpList])[] = [];
  for (const [name, list] of Object.entries(resources)) {
    const type = STATIC_LISTS.get(name);
    if (type === undefined || !Array.isArray(list)) return undefined;
    // Redacted with its name: nothing of a secret is shown.
    const element = (one: Json): Json =>
      (redactSecrets({ [name]: [readable(type, one)] }) as Record<string, Json[]>)[name]![0]!;
    fields.push([name, new DumpList(() => each(list as readonly Json[], element))]);
  }
  return new DumpFields(fields);
}

/** Where it cannot be read as a whole (unknown fields were allowed), it stands as it was written. */
function readable(typeName: string, written: Json): Json {
  const message = messageFromJson(typeName, written);
  return message.ok ? withProtoNames(typeName, messageToJson(typeName, message.value)) : written;
}
