import {
  bytesOf,
  fieldOf,
  flagOf,
  type Message,
  messageOf,
  messagesOf,
  numberOf,
  textOf,
  timestampFromMs,
  toNumber,
} from "@heddle/proto";
import type { ResourceKey } from "./resource-key.ts";
import type {
  ApiDiagnostic,
  ApiError,
  ApplyRequest,
  BatchResponse,
  BinaryResource,
  DeleteRequest,
  ExpectedVersion,
  ListRequest,
  ListResponse,
  Manifest,
  ResourceOutcome,
  Selector,
  StoredResource,
  WatchEvent,
} from "./wire.ts";

/* The objects of wire.ts from and to messages of proto/heddle/resources/v1/resources.proto. */

const PACKAGE = "heddle.resources.v1";

export const MESSAGES = {
  applyRequest: `${PACKAGE}.ApplyRequest`,
  applyResponse: `${PACKAGE}.ApplyResponse`,
  getRequest: `${PACKAGE}.GetRequest`,
  resource: `${PACKAGE}.Resource`,
  listRequest: `${PACKAGE}.ListRequest`,
  listResponse: `${PACKAGE}.ListResponse`,
  deleteRequest: `${PACKAGE}.DeleteRequest`,
  deleteResponse: `${PACKAGE}.DeleteResponse`,
  watchRequest: `${PACKAGE}.WatchRequest`,
  watchResponse: `${PACKAGE}.WatchResponse`,
  errorDetails: `${PACKAGE}.ErrorDetails`,
} as const;

export const SERVICE = `${PACKAGE}.ResourceService`;

export function applyRequestFrom(message: Message): ApplyRequest {
  return {
    manifests: messagesOf(message, "manifests").map(manifestFrom),
    nodeCluster: textOf(message, "node_cluster"),
    manager: textOf(message, "manager"),
    includeContent: flagOf(message, "include_content"),
    ...expectationsFrom(message),
  };
}

export function deleteRequestFrom(message: Message): DeleteRequest {
  return {
    keys: messagesOf(message, "keys").map(keyFrom),
    ignoreMissing: flagOf(message, "ignore_missing"),
    ...expectationsFrom(message),
  };
}

export function getRequestFrom(message: Message): { readonly key: ResourceKey; readonly showSecrets: boolean } {
  return { key: keyFrom(messageOf(message, "key") ?? {}), showSecrets: flagOf(message, "show_secrets") };
}

export function listRequestFrom(message: Message): ListRequest {
  return {
    ...selectorFrom(messageOf(message, "selector") ?? {}),
    pageSize: numberOf(message, "page_size"),
    pageToken: textOf(message, "page_token"),
    showSecrets: flagOf(message, "show_secrets"),
  };
}

export function watchRequestFrom(message: Message): {
  readonly selector: Selector;
  readonly fromRevision: number | undefined;
} {
  const from = fieldOf(message, "from_revision");
  return {
    selector: selectorFrom(messageOf(message, "selector") ?? {}),
    fromRevision: from === undefined ? undefined : toNumber(from),
  };
}

/** Of an ApplyResponse and of a DeleteResponse. */
export function batchMessage({ revision, outcomes, warnings }: BatchResponse): Message {
  return { revision, outcomes: outcomes.map(outcomeMessage), warnings: warnings.map(diagnosticMessage) };
}

export function listMessage({ revision, resources, nextPageToken }: ListResponse): Message {
  return { revision, resources: resources.map(resourceMessage), next_page_token: nextPageToken };
}

export function resourceMessage({ key, resource, binary, updated, ...rest }: StoredResource): Message {
  return {
    key: keyMessage(key),
    version: rest.version,
    created_version: rest.createdVersion,
    json: resource === null ? "" : JSON.stringify(resource),
    ...(binary && { binary: { type_url: binary.typeUrl, value: Buffer.from(binary.value, "base64") } }),
    override: rest.override,
    author: rest.author,
    manager: rest.manager,
    updated: timestampFromMs(Date.parse(updated)),
  };
}

const EVENT_TYPES: readonly (WatchEvent["type"] | "")[] = ["", "PUT", "DELETE", "RESYNC", "SYNCED"];

export function eventMessage(event: WatchEvent): Message {
  return {
    type: EVENT_TYPES.indexOf(event.type),
    revision: event.revision,
    ...(event.type === "PUT" && { resource: resourceMessage(event.resource) }),
    ...(event.type === "DELETE" && { resource: { key: keyMessage(event.resource.key) } }),
  };
}

/** Of each kind at most so many. */
export function errorMessage({ diagnostics = [], conflicts = [] }: ApiError, most: number): Message {
  return {
    diagnostics: diagnostics.slice(0, most).map(diagnosticMessage),
    conflicts: conflicts.slice(0, most).map(({ key, expected, found }) => ({ key: keyMessage(key), expected, found })),
    omitted: Math.max(0, diagnostics.length - most) + Math.max(0, conflicts.length - most),
  };
}

const OUTCOMES: readonly (ResourceOutcome["outcome"] | "")[] = ["", "created", "changed", "unchanged", "deleted"];

function outcomeMessage({ key, outcome, version, before, after }: ResourceOutcome): Message {
  return {
    key: keyMessage(key),
    outcome: OUTCOMES.indexOf(outcome),
    version,
    before: before === undefined ? "" : JSON.stringify(before),
    after: after === undefined ? "" : JSON.stringify(after),
  };
}

function diagnosticMessage({ severity, ...rest }: ApiDiagnostic): Message {
  return { ...rest, severity: severity === "error" ? 1 : 2 };
}

function keyMessage({ type, namespace, name, nodeCluster }: ResourceKey): Message {
  return { type, namespace, name, node_cluster: nodeCluster };
}

function keyFrom(message: Message): ResourceKey {
  return {
    type: textOf(message, "type"),
    namespace: textOf(message, "namespace"),
    name: textOf(message, "name"),
    nodeCluster: textOf(message, "node_cluster"),
  };
}

function selectorFrom(message: Message): Selector {
  return {
    type: textOf(message, "type"),
    namespace: textOf(message, "namespace"),
    namePrefix: textOf(message, "name_prefix"),
    nodeCluster: textOf(message, "node_cluster"),
  };
}

function manifestFrom(message: Message): Manifest {
  const binary = messageOf(message, "binary");
  const source = textOf(message, "source") || "request";
  return binary === undefined
    ? { source, text: textOf(message, "text") }
    : { source, binary: binaryFrom(binary), override: flagOf(message, "override") };
}

function binaryFrom(any: Message): BinaryResource {
  const value = bytesOf(any, "value");
  return { typeUrl: textOf(any, "type_url"), value: Buffer.from(value).toString("base64") };
}

function expectationsFrom(message: Message): Pick<ApplyRequest, "dryRun" | "expected" | "expectedVersion"> {
  const ofAll = fieldOf(message, "expected_version");
  const expected = messagesOf(message, "expected").map(
    (one): ExpectedVersion => ({ key: keyFrom(messageOf(one, "key") ?? {}), version: numberOf(one, "version") }),
  );
  return {
    dryRun: flagOf(message, "dry_run"),
    expected,
    ...(ofAll !== undefined && { expectedVersion: toNumber(ofAll) }),
  };
}
