import protobuf from "protobufjs/light.js";
import { coreDescriptor } from "./gen/core.ts";
import { etcdDescriptor } from "./gen/etcd.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";

/*
 * The message types of this process. Descriptors feed one root: core when the first type is asked for, another one
 * when a type of its packages is asked for that core does not have. Until then a descriptor is a string and costs its length. protobufjs
 * makes a type's coder when it is first used. README.md beside this folder says what that costs.
 */

/** A name from elsewhere (Istio's `stats.PluginConfig`) is not worth loading any of them. */
const LATER = [
  { packages: /^(envoy|xds|udpa|google)\./, descriptor: extensionsDescriptor, loaded: false },
  { packages: /^etcdserverpb\./, descriptor: etcdDescriptor, loaded: false },
];

let root: protobuf.Root | undefined;

/** The type of that full name ("envoy.config.cluster.v3.Cluster"), or undefined if it has not been compiled. */
export function findType(fullName: string): protobuf.Type | undefined {
  root ??= protobuf.Root.fromJSON(JSON.parse(coreDescriptor));
  const found = exactType(root, fullName);
  const later = LATER.find(({ packages }) => packages.test(fullName));
  if (found !== undefined || later === undefined || later.loaded) return found;
  later.loaded = true;
  root.addJSON(JSON.parse(later.descriptor).nested).resolveAll();
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
