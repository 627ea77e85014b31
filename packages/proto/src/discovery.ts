import { fieldOf, type Message } from "./message.ts";
import { typeOf } from "./registry.ts";
import { durationFromMs, durationToMs, structFromJson, structToJson } from "./well-known.ts";

/*
 * The four messages of the xDS streams (envoy.service.discovery.v3) as plain objects, to bytes and back. Decoding throws
 * on bytes that are no such message: on a gRPC stream that ends the call, which is what should happen.
 */

export interface AnyMessage {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** google.rpc.Status without its details. */
export interface Status {
  readonly code: number;
  readonly message: string;
}

/** `envoy.config.core.v3.Node`, what we use of it. */
export interface Node {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: { readonly [key: string]: unknown };
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly userAgentName: string;
  readonly userAgentVersion: string;
  readonly clientFeatures: readonly string[];
}

export interface DiscoveryRequest {
  readonly versionInfo: string;
  readonly node: Node | undefined;
  readonly resourceNames: readonly string[];
  readonly typeUrl: string;
  readonly responseNonce: string;
  readonly errorDetail: Status | undefined;
}

export interface DiscoveryResponse {
  readonly versionInfo: string;
  readonly resources: readonly AnyMessage[];
  readonly typeUrl: string;
  readonly nonce: string;
  readonly controlPlaneIdentifier: string;
}

export interface DeltaDiscoveryRequest {
  readonly node: Node | undefined;
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  readonly initialResourceVersions: ReadonlyMap<string, string>;
  readonly responseNonce: string;
  readonly errorDetail: Status | undefined;
}

/** `envoy.service.discovery.v3.Resource`: the delta variant's envelope, which the other variant may use too. */
export interface DeltaResource {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly version: string;
  /** Undefined in a heartbeat, which only refreshes the TTL. */
  readonly resource: AnyMessage | undefined;
  /** How long the resource is good for. Left out: for ever. */
  readonly ttlMs?: number | undefined;
}

export interface DeltaDiscoveryResponse {
  readonly systemVersionInfo: string;
  readonly resources: readonly DeltaResource[];
  readonly typeUrl: string;
  readonly removedResources: readonly string[];
  readonly nonce: string;
  readonly controlPlaneIdentifier: string;
}

export function encodeDiscoveryRequest(request: DiscoveryRequest): Uint8Array {
  return encode("DiscoveryRequest", {
    version_info: request.versionInfo,
    node: request.node && nodeToMessage(request.node),
    resource_names: request.resourceNames,
    type_url: request.typeUrl,
    response_nonce: request.responseNonce,
    error_detail: request.errorDetail,
  });
}

export function decodeDiscoveryRequest(bytes: Uint8Array): DiscoveryRequest {
  const message = decode("DiscoveryRequest", bytes);
  return {
    versionInfo: text(message, "version_info"),
    node: nodeFrom(message),
    resourceNames: texts(message, "resource_names"),
    typeUrl: text(message, "type_url"),
    responseNonce: text(message, "response_nonce"),
    errorDetail: statusFrom(message),
  };
}

export function encodeDiscoveryResponse(response: DiscoveryResponse): Uint8Array {
  return encode("DiscoveryResponse", {
    version_info: response.versionInfo,
    resources: response.resources.map(anyToMessage),
    type_url: response.typeUrl,
    nonce: response.nonce,
    control_plane: controlPlane(response.controlPlaneIdentifier),
  });
}

/** The bytes of resources are views of `bytes`. */
export function decodeDiscoveryResponse(bytes: Uint8Array): DiscoveryResponse {
  const message = decode("DiscoveryResponse", bytes);
  return {
    versionInfo: text(message, "version_info"),
    resources: messages(message, "resources").map(anyFrom),
    typeUrl: text(message, "type_url"),
    nonce: text(message, "nonce"),
    controlPlaneIdentifier: text(child(message, "control_plane"), "identifier"),
  };
}

export function encodeDeltaDiscoveryRequest(request: DeltaDiscoveryRequest): Uint8Array {
  return encode("DeltaDiscoveryRequest", {
    node: request.node && nodeToMessage(request.node),
    type_url: request.typeUrl,
    resource_names_subscribe: request.resourceNamesSubscribe,
    resource_names_unsubscribe: request.resourceNamesUnsubscribe,
    initial_resource_versions: Object.fromEntries(request.initialResourceVersions),
    response_nonce: request.responseNonce,
    error_detail: request.errorDetail,
  });
}

export function decodeDeltaDiscoveryRequest(bytes: Uint8Array): DeltaDiscoveryRequest {
  const message = decode("DeltaDiscoveryRequest", bytes);
  const versions = (fieldOf(message, "initial_resource_versions") ?? {}) as { readonly [name: string]: string };
  return {
    node: nodeFrom(message),
    typeUrl: text(message, "type_url"),
    resourceNamesSubscribe: texts(message, "resource_names_subscribe"),
    resourceNamesUnsubscribe: texts(message, "resource_names_unsubscribe"),
    initialResourceVersions: new Map(Object.entries(versions)),
    responseNonce: text(message, "response_nonce"),
    errorDetail: statusFrom(message),
  };
}

export function encodeDeltaDiscoveryResponse(response: DeltaDiscoveryResponse): Uint8Array {
  return encode("DeltaDiscoveryResponse", {
    system_version_info: response.systemVersionInfo,
    resources: response.resources.map(resourceToMessage),
    type_url: response.typeUrl,
    removed_resources: response.removedResources,
    nonce: response.nonce,
    control_plane: controlPlane(response.controlPlaneIdentifier),
  });
}

/** The bytes of resources are views of `bytes`. */
export function decodeDeltaDiscoveryResponse(bytes: Uint8Array): DeltaDiscoveryResponse {
  const message = decode("DeltaDiscoveryResponse", bytes);
  return {
    systemVersionInfo: text(message, "system_version_info"),
    resources: messages(message, "resources").map(resourceFrom),
    typeUrl: text(message, "type_url"),
    removedResources: texts(message, "removed_resources"),
    nonce: text(message, "nonce"),
    controlPlaneIdentifier: text(child(message, "control_plane"), "identifier"),
  };
}

/** A resource in its envelope, alone. */
export function encodeWrappedResource(resource: DeltaResource): Uint8Array {
  return encode("Resource", resourceToMessage(resource));
}

/** The body is a view of `bytes`. */
export function decodeWrappedResource(bytes: Uint8Array): DeltaResource {
  return resourceFrom(decode("Resource", bytes));
}

function resourceToMessage({ name, aliases, version, resource, ttlMs }: DeltaResource): Message {
  return {
    name,
    aliases,
    version,
    resource: resource && anyToMessage(resource),
    ...(ttlMs !== undefined && { ttl: durationFromMs(ttlMs) }),
  };
}

function resourceFrom(message: Message): DeltaResource {
  const any = child(message, "resource");
  const ttl = child(message, "ttl");
  return {
    name: text(message, "name"),
    aliases: texts(message, "aliases"),
    version: text(message, "version"),
    resource: any && anyFrom(any),
    ...(ttl !== undefined && { ttlMs: durationToMs(ttl) }),
  };
}

function encode(name: string, message: Message): Uint8Array {
  return typeOf(`envoy.service.discovery.v3.${name}`).encode(message).finish();
}

function decode(name: string, bytes: Uint8Array): Message {
  return typeOf(`envoy.service.discovery.v3.${name}`).decode(bytes);
}

/** An `envoy.config.core.v3.Node`. */
export function nodeToMessage(node: Node): Message {
  const { region, zone, subZone } = node.locality;
  return {
    id: node.id,
    cluster: node.cluster,
    metadata: structFromJson(node.metadata),
    ...((region !== "" || zone !== "" || subZone !== "") && { locality: { region, zone, sub_zone: subZone } }),
    user_agent_name: node.userAgentName,
    ...(node.userAgentVersion !== "" && { user_agent_version: node.userAgentVersion }),
    client_features: node.clientFeatures,
  };
}

function nodeFrom(message: Message): Node | undefined {
  const node = child(message, "node");
  return node && nodeFromMessage(node);
}

/** Of an `envoy.config.core.v3.Node`, what we use of it. */
export function nodeFromMessage(node: Message): Node {
  const locality = child(node, "locality");
  const metadata = child(node, "metadata");
  return {
    id: text(node, "id"),
    cluster: text(node, "cluster"),
    metadata: metadata === undefined ? {} : structToJson(metadata),
    locality: { region: text(locality, "region"), zone: text(locality, "zone"), subZone: text(locality, "sub_zone") },
    userAgentName: text(node, "user_agent_name"),
    userAgentVersion: text(node, "user_agent_version"),
    clientFeatures: texts(node, "client_features"),
  };
}

function statusFrom(message: Message): Status | undefined {
  const status = child(message, "error_detail");
  return status && { code: (fieldOf(status, "code") ?? 0) as number, message: text(status, "message") };
}

function controlPlane(identifier: string): Message | undefined {
  return identifier === "" ? undefined : { identifier };
}

function anyToMessage(any: AnyMessage): Message {
  return { type_url: any.typeUrl, value: any.value };
}

function anyFrom(any: Message): AnyMessage {
  return { typeUrl: text(any, "type_url"), value: (fieldOf(any, "value") ?? new Uint8Array()) as Uint8Array };
}

function child(message: Message, name: string): Message | undefined {
  return fieldOf(message, name) as Message | undefined;
}

function text(message: Message | undefined, name: string): string {
  return ((message && fieldOf(message, name)) ?? "") as string;
}

function texts(message: Message, name: string): readonly string[] {
  return (fieldOf(message, name) ?? []) as readonly string[];
}

function messages(message: Message, name: string): readonly Message[] {
  return (fieldOf(message, name) ?? []) as readonly Message[];
}
