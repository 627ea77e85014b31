import protobuf from "protobufjs/light.js";
import { coreDescriptor } from "./gen/core.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";

/*
 * The message types of this process. Two descriptors feed one root: core when the first type is asked for, extensions
 * when a type is asked for that core does not have. Until then a descriptor is a string and costs its length. protobufjs
 * makes a type's coder when it is first used. README.md beside this folder says what that costs.
 */

/** What the extensions are of. A name from elsewhere (Istio's `stats.PluginConfig`) is not worth loading them. */
const PACKAGES = /^(envoy|xds|udpa|google)\./;

let root: protobuf.Root | undefined;
let extensionsLoaded = false;

/** The type of that full name ("envoy.config.cluster.v3.Cluster"), or undefined if it has not been compiled. */
export function findType(fullName: string): protobuf.Type | undefined {
  root ??= protobuf.Root.fromJSON(JSON.parse(coreDescriptor));
  const found = exactType(root, fullName);
  if (found !== undefined || extensionsLoaded || !PACKAGES.test(fullName)) return found;
  extensionsLoaded = true;
  root.addJSON(JSON.parse(extensionsDescriptor).nested).resolveAll();
  return exactType(root, fullName);
}

/** The type of that full name; one that must be there. */
export function typeOf(fullName: string): protobuf.Type {
  const type = findType(fullName);
  if (type === undefined) throw new Error(`message type ${fullName} is not compiled; see proto/envoy.txt`);
  return type;
}

/** "type.googleapis.com/envoy.config.cluster.v3.Cluster" without what stands before the last slash. */
export function typeNameOf(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

export function typeUrlOf(fullName: string): string {
  return `type.googleapis.com/${fullName}`;
}

// protobufjs also finds "Cluster" and "v3.Cluster"; the name in an Any is a full one or it is wrong.
function exactType(in_: protobuf.Root, fullName: string): protobuf.Type | undefined {
  let at: protobuf.ReflectionObject | null = in_;
  for (const part of fullName.split(".")) {
    at = at instanceof protobuf.Namespace ? at.get(part) : null;
  }
  return at instanceof protobuf.Type ? at : undefined;
}
