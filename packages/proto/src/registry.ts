import protobuf from "protobufjs/light.js";
import { coreDescriptor } from "./gen/core.ts";
import { etcdDescriptor } from "./gen/etcd.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";
import { honouredDescriptor } from "./gen/honoured.ts";

/*
 * The message types of this process. Descriptors feed one root: core when the first type is asked for, the others, in their order,
 * when a type of their packages is asked for that is not there yet. Until then a descriptor is a string and costs its length. protobufjs
 * makes a type's coder when it is first used. README.md beside this folder says what that costs.
 */

const ENVOYS = /^(envoy|xds|udpa|google)\./;

/** A name from elsewhere (Istio's `stats.PluginConfig`) is not worth loading any of them. Each needs those of its packages before it. */
const LATER = [
  { packages: ENVOYS, descriptor: honouredDescriptor, loaded: false },
  { packages: ENVOYS, descriptor: extensionsDescriptor, loaded: false },
  { packages: /^etcdserverpb\./, descriptor: etcdDescriptor, loaded: false },
];

let root: protobuf.Root | undefined;

/** That have been asked for: from package to package it is a tenth of what it takes to read an ACK. */
const found = new Map<string, protobuf.Type>();

/** The type of that full name ("envoy.config.cluster.v3.Cluster"), or undefined if it has not been compiled. */
export function findType(fullName: string): protobuf.Type | undefined {
  let type = found.get(fullName);
  if (type === undefined && (type = searchType(fullName)) !== undefined) found.set(fullName, type);
  return type;
}

function searchType(fullName: string): protobuf.Type | undefined {
  root ??= protobuf.Root.fromJSON(JSON.parse(coreDescriptor));
  let type = exactType(root, fullName);
  for (const later of LATER) {
    if (type !== undefined) break;
    if (later.loaded || !later.packages.test(fullName)) continue;
    later.loaded = true;
    root.addJSON(JSON.parse(later.descriptor).nested).resolveAll();
    type = exactType(root, fullName);
  }
  return type;
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
