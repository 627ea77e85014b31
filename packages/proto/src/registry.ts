import protobuf from "protobufjs/light.js";
import { DeclaredTypes } from "./declared-types.ts";
import { coreDescriptor } from "./gen/core.ts";
import { etcdDescriptor } from "./gen/etcd.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";
import { honouredDescriptor } from "./gen/honoured.ts";

/* The message types of this process. README.md beside this folder says what they cost. */

const ENVOYS = /^(envoy|xds|udpa|google)\./;

/** A name from elsewhere (Istio's `stats.PluginConfig`) is not worth reading the later ones. Each needs those before it. */
const types = new DeclaredTypes([
  { packages: /^/, text: coreDescriptor },
  { packages: ENVOYS, text: honouredDescriptor },
  { packages: ENVOYS, text: extensionsDescriptor },
  { packages: /^etcdserverpb\./, text: etcdDescriptor },
]);

/** The type of that full name ("envoy.config.cluster.v3.Cluster"), or undefined if it has not been compiled. */
export function findType(fullName: string): protobuf.Type | undefined {
  const found = types.find(fullName);
  return found instanceof protobuf.Type ? found : undefined;
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
