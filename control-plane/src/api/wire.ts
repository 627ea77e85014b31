import type { ResourceKey } from "./resource-key.ts";

/*
 * What goes over the API, as plain objects: they are the JSON of its REST face, and `resource-messages.ts` turns them into the
 * messages of proto/heddle/resources/v1/resources.proto, whose comments tell of each field.
 */

export interface StoredResource {
  readonly key: ResourceKey;
  readonly version: number;
  readonly createdVersion: number;
  /** The resource as it was applied; in proto JSON where it was applied in binary. */
  readonly resource: unknown;
  readonly binary?: BinaryResource;
  readonly override: boolean;
  readonly author: string;
  readonly manager: string;
  /** ISO 8601. */
  readonly updated: string;
}

/** A serialised xDS resource. */
export interface BinaryResource {
  readonly typeUrl: string;
  /** Base64. */
  readonly value: string;
}

export interface Manifest {
  /** For diagnostics: "shop.yaml". */
  readonly source: string;
  /** YAML or JSON, as in a file of a configuration folder; or else `binary`. */
  readonly text?: string;
  readonly binary?: BinaryResource;
  /** Of `binary`; text says it itself. */
  readonly override?: boolean;
}

export interface ExpectedVersion {
  readonly key: Partial<ResourceKey>;
  /** 0: it must not exist. */
  readonly version: number;
}

export interface ApplyRequest {
  readonly manifests: readonly Manifest[];
  readonly nodeCluster?: string;
  readonly dryRun?: boolean;
  readonly expected?: readonly ExpectedVersion[];
  /** Of all of the batch. */
  readonly expectedVersion?: number;
  readonly manager?: string;
  /** Outcomes have `before` and `after`. */
  readonly includeContent?: boolean;
}

export interface DeleteRequest {
  readonly keys: readonly Partial<ResourceKey>[];
  readonly dryRun?: boolean;
  readonly expected?: readonly ExpectedVersion[];
  readonly expectedVersion?: number;
  readonly ignoreMissing?: boolean;
}

/** Of an Apply or a Delete. */
export interface BatchResponse {
  readonly revision: number;
  readonly outcomes: readonly ResourceOutcome[];
  readonly warnings: readonly ApiDiagnostic[];
}

export interface ResourceOutcome {
  readonly key: ResourceKey;
  readonly outcome: "created" | "changed" | "unchanged" | "deleted";
  /** 0: it does not exist. */
  readonly version: number;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Fields that are left out select everything. */
export interface Selector {
  readonly type?: string;
  readonly namespace?: string;
  readonly namePrefix?: string;
  readonly nodeCluster?: string;
}

export interface ListRequest extends Selector {
  readonly pageSize?: number;
  readonly pageToken?: string;
  readonly showSecrets?: boolean;
}

export interface ListResponse {
  readonly revision: number;
  readonly resources: readonly StoredResource[];
  readonly nextPageToken: string;
}

export type WatchEvent =
  | { readonly type: "PUT"; readonly revision: number; readonly resource: StoredResource }
  | { readonly type: "DELETE"; readonly revision: number; readonly resource: { readonly key: ResourceKey } }
  /** What follows up to SYNCED is all that there is. */
  | { readonly type: "RESYNC"; readonly revision: number }
  | { readonly type: "SYNCED"; readonly revision: number };

/** A `Diagnostic` of @heddle/config, and which document of its source it is about. */
export interface ApiDiagnostic {
  readonly severity: "error" | "warning";
  readonly source: string;
  /** From 0. */
  readonly document: number;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

export interface Conflict {
  readonly key: ResourceKey;
  readonly expected: number;
  /** 0: there is no such resource. */
  readonly found: number;
}

/** Names of gRPC's statuses. */
export type ApiErrorCode =
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "ABORTED"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "UNAVAILABLE"
  | "INTERNAL";

/** Why a call did nothing. */
export interface ApiError {
  readonly code: ApiErrorCode;
  readonly message: string;
  readonly diagnostics?: readonly ApiDiagnostic[];
  readonly conflicts?: readonly Conflict[];
  /** When to try again, of a call that came too soon. */
  readonly retryAfterS?: number;
}

/** "shop.yaml:12:7: spec.rules[0]: found -1, allowed are 0 to 1000000" */
export function formatApiDiagnostic({ source, line, column, path, message }: ApiDiagnostic): string {
  const place = line === 0 ? source : `${source}:${line}:${column}`;
  return path === "" ? `${place}: ${message}` : `${place}: ${path}: ${message}`;
}
