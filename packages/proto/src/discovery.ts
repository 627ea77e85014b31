import { bytesOf, messageOf, messagesOf, textOf, textsOf } from "./field-readers.ts";
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
    versionInfo: textOf(message, "version_info"),
    node: nodeFrom(message),
    resourceNames: textsOf(message, "resource_names"),
    typeUrl: textOf(message, "type_url"),
    responseNonce: textOf(message, "response_nonce"),
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
    versionInfo: textOf(message, "version_info"),
    resources: messagesOf(message, "resources").map(anyFrom),
    typeUrl: textOf(message, "type_url"),
    nonce: textOf(message, "nonce"),
    controlPlaneIdentifier: textOf(messageOf(message, "control_plane") ?? {}, "identifier"),
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
    typeUrl: textOf(message, "type_url"),
    resourceNamesSubscribe: textsOf(message, "resource_names_subscribe"),
    resourceNamesUnsubscribe: textsOf(message, "resource_names_unsubscribe"),
    initialResourceVersions: new Map(Object.entries(versions)),
    responseNonce: textOf(message, "response_nonce"),
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
    systemVersionInfo: textOf(message, "system_version_info"),
    resources: messagesOf(message, "resources").map(resourceFrom),
    typeUrl: textOf(message, "type_url"),
    removedResources: textsOf(message, "removed_resources"),
    nonce: textOf(message, "nonce"),
    controlPlaneIdentifier: textOf(messageOf(message, "control_plane") ?? {}, "identifier"),
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
  const any = messageOf(message, "resource");
  const ttl = messageOf(message, "ttl");
  return {
    name: textOf(message, "name"),
    aliases: textsOf(message, "aliases"),
    version: textOf(message, "version"),
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
  const node = messageOf(message, "node");
  return node && nodeFromMessage(node);
}

/** Of an `envoy.config.core.v3.Node`, what we use of it. */
export function nodeFromMessage(node: Message): Node {
  const locality = messageOf(node, "locality") ?? {};
  const metadata = messageOf(node, "metadata");
  return {
    id: textOf(node, "id"),
    cluster: textOf(node, "cluster"),
    metadata: metadata === undefined ? {} : structToJson(metadata),
    locality: {
      region: textOf(locality, "region"),
      zone: textOf(locality, "zone"),
      subZone: textOf(locality, "sub_zone"),
    },
    userAgentName: textOf(node, "user_agent_name"),
    userAgentVersion: textOf(node, "user_agent_version"),
    clientFeatures: textsOf(node, "client_features"),
  };
}

function statusFrom(message: Message): Status | undefined {
  const status = messageOf(message, "error_detail");
  return status && { code: (fieldOf(status, "code") ?? 0) as number, message: textOf(status, "message") };
}

function controlPlane(identifier: string): Message | undefined {
  return identifier === "" ? undefined : { identifier };
}

function anyToMessage(any: AnyMessage): Message {
  return { type_url: any.typeUrl, value: any.value };
}

function anyFrom(any: Message): AnyMessage {
  return { typeUrl: textOf(any, "type_url"), value: bytesOf(any, "value") };
}
