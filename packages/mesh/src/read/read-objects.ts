import type { Json } from "@heddle/base";
import type { Diagnostic, YamlDocument } from "@heddle/config";
import type { MeshObject } from "../model/mesh.ts";
import { Field, type UnknownFields } from "./field.ts";
import { readAuthorizationPolicy } from "./read-authorization-policy.ts";
import { readEndpointSlice } from "./read-endpoint-slice.ts";
import { readExtensionProvider } from "./read-extension-provider.ts";
import { readGrpcRoute } from "./read-grpc-route.ts";
import { readHttpRoute } from "./read-http-route.ts";
import { readPeerAuthentication } from "./read-peer-authentication.ts";
import { readReferenceGrant } from "./read-reference-grant.ts";
import { readRequestAuthentication } from "./read-request-authentication.ts";
import { readService } from "./read-service.ts";
import { readTcpRoute, readTlsRoute } from "./read-stream-route.ts";
import { readWorkload } from "./read-workload.ts";

/** `objects` holds none that has errors, and none of a kind that the mesh has no use for. */
export interface ReadObjects {
  readonly objects: readonly MeshObject[];
  readonly diagnostics: readonly Diagnostic[];
}

interface Kind {
  readonly unknownFields: UnknownFields;
  /** Undefined: the object is of no use here. */
  readonly read: (document: Field) => MeshObject | undefined;
}

const HTTP_ROUTE: Kind = { unknownFields: "warning", read: readHttpRoute };
const TCP_ROUTE: Kind = { unknownFields: "warning", read: readTcpRoute };
const TLS_ROUTE: Kind = { unknownFields: "warning", read: readTlsRoute };
const REFERENCE_GRANT: Kind = { unknownFields: "warning", read: readReferenceGrant };

/** Of Gateway API the versions that its releases have served; where there are several, they say the same. */
const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["v1 Service", { unknownFields: "warning", read: readService }],
  ["discovery.k8s.io/v1 EndpointSlice", { unknownFields: "warning", read: readEndpointSlice }],
  ["gateway.networking.k8s.io/v1 HTTPRoute", HTTP_ROUTE],
  ["gateway.networking.k8s.io/v1beta1 HTTPRoute", HTTP_ROUTE],
  ["gateway.networking.k8s.io/v1 GRPCRoute", { unknownFields: "warning", read: readGrpcRoute }],
  ["gateway.networking.k8s.io/v1 TLSRoute", TLS_ROUTE],
  ["gateway.networking.k8s.io/v1alpha3 TLSRoute", TLS_ROUTE],
  ["gateway.networking.k8s.io/v1alpha2 TLSRoute", TLS_ROUTE],
  ["gateway.networking.k8s.io/v1 TCPRoute", TCP_ROUTE],
  ["gateway.networking.k8s.io/v1alpha2 TCPRoute", TCP_ROUTE],
  ["gateway.networking.k8s.io/v1 ReferenceGrant", REFERENCE_GRANT],
  ["gateway.networking.k8s.io/v1beta1 ReferenceGrant", REFERENCE_GRANT],
  ["heddle.dev/v1 Workload", { unknownFields: "error", read: readWorkload }],
  ["heddle.dev/v1 PeerAuthentication", { unknownFields: "error", read: readPeerAuthentication }],
  ["heddle.dev/v1 AuthorizationPolicy", { unknownFields: "error", read: readAuthorizationPolicy }],
  ["heddle.dev/v1 ExtensionProvider", { unknownFields: "error", read: readExtensionProvider }],
  ["heddle.dev/v1 RequestAuthentication", { unknownFields: "error", read: readRequestAuthentication }],
] satisfies [string, Kind][]);

/** Read by others: `heddle up` runs Processes. */
const KINDS_OF_OTHERS: ReadonlySet<string> = new Set(["heddle.dev/v1 Process"]);

const OUR_KINDS = [...KINDS.keys(), ...KINDS_OF_OTHERS]
  .filter((key) => key.startsWith("heddle.dev/"))
  .map((key) => `"${key.split(" ", 2)[1]}"`)
  .join(", ");

/** These stand in the same files as Services all the time, and nobody expects a mesh to read them. */
const EXPECTED_FOREIGN_KINDS: ReadonlySet<string> = new Set([
  "Namespace",
  "Pod",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "ReplicaSet",
  "Job",
  "CronJob",
  "ConfigMap",
  "Secret",
  "ServiceAccount",
]);

/**
 * Reads one document: a Kubernetes Service or EndpointSlice, a route or a ReferenceGrant of Gateway API, a kind of ours, or a `List` of
 * them, which is what `kubectl get -o yaml` writes. Every fault is in `diagnostics`.
 */
export function readObjects(document: YamlDocument): ReadObjects {
  const diagnostics: Diagnostic[] = [];
  const root = Field.root(document, diagnostics, "warning");
  const fields = isList(root.value) ? root.pick("items").items.items() : [root];
  const objects = fields.flatMap((field) => readOne(field, diagnostics) ?? []);
  return { objects, diagnostics: diagnostics.sort(byPlace) };
}

function isList(json: Json | undefined): boolean {
  const { apiVersion, kind } = (json ?? {}) as { readonly apiVersion?: Json; readonly kind?: Json }; // of no object: neither
  return apiVersion === "v1" && kind === "List";
}

/** @param diagnostics where the field puts what is wrong with it. */
function readOne(field: Field, diagnostics: readonly Diagnostic[]): MeshObject | undefined {
  const before = diagnostics.length;
  const { apiVersion, kind } = field.pick("apiVersion", "kind");
  const [version, kindName] = [apiVersion.requiredText(), kind.requiredText()];
  if (diagnostics.length > before) return undefined;

  const known = KINDS.get(`${version} ${kindName}`);
  if (known === undefined) {
    reportUnreadKind(version, kindName, apiVersion, kind);
    return undefined;
  }
  const object = known.read(field.treatingUnknown(known.unknownFields));
  return diagnostics.slice(before).some(({ severity }) => severity === "error") ? undefined : object;
}

function byPlace(a: Diagnostic, b: Diagnostic): number {
  return a.line - b.line || a.column - b.column;
}

function reportUnreadKind(version: string, name: string, apiVersion: Field, kind: Field): void {
  if (KINDS_OF_OTHERS.has(`${version} ${name}`)) return;
  const group = version.includes("/") ? version.slice(0, version.indexOf("/")) : "";
  const others = [...KINDS.keys()].filter((key) => key.endsWith(` ${name}`)).map((key) => key.split(" ", 1)[0]);
  if (others.length > 0) apiVersion.error(`found "${version}", allowed for ${name}: "${others.join('", "')}"`);
  else if (group === "heddle.dev") kind.error(`found "${name}", allowed: ${OUR_KINDS}`);
  else if (group === "gateway.networking.k8s.io") kind.warn(`${name} has no effect yet`);
  else if (!EXPECTED_FOREIGN_KINDS.has(name)) kind.warn(`${version} ${name} is not read`);
}
