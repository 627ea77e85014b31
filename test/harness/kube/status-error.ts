import type { JsonObject } from "./kube-object.ts";

/** An answer of the API server that is not what was asked for: a `Status` of meta/v1. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly code: number;
  readonly reason: string;
  readonly details: JsonObject | undefined;
  /** Members of `metadata`: `continue` of an expired list. */
  readonly metadata: JsonObject;

  constructor(code: number, reason: string, message: string, details?: JsonObject, metadata: JsonObject = {}) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.metadata = metadata;
  }

  get retryAfterS(): number | undefined {
    const seconds = this.details?.["retryAfterSeconds"];
    return typeof seconds === "number" ? seconds : undefined;
  }

  toJSON(): JsonObject {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: this.metadata,
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

export const badRequest = (message: string): StatusError => new StatusError(400, "BadRequest", message);

export const unauthorized = (): StatusError => new StatusError(401, "Unauthorized", "Unauthorized");

export const notFound = (resource: string, group: string, name: string): StatusError =>
  new StatusError(404, "NotFound", `${qualified(resource, group)} ${JSON.stringify(name)} not found`, {
    name,
    ...(group === "" ? {} : { group }),
    kind: resource,
  });

export const noSuchPath = (): StatusError =>
  new StatusError(404, "NotFound", "the server could not find the requested resource", {});

export const alreadyExists = (resource: string, group: string, name: string): StatusError =>
  new StatusError(409, "AlreadyExists", `${qualified(resource, group)} ${JSON.stringify(name)} already exists`, {
    name,
    ...(group === "" ? {} : { group }),
    kind: resource,
  });

export const conflict = (resource: string, group: string, name: string, why: string): StatusError =>
  new StatusError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(resource, group)} ${JSON.stringify(name)}: ${why}`,
    { name, ...(group === "" ? {} : { group }), kind: resource },
  );

/** @param causes where (`spec.ports[0].port`) and what. */
export function invalid(
  kind: string,
  group: string,
  name: string,
  causes: readonly { readonly field: string; readonly message: string }[],
): StatusError {
  const what = causes.map(({ field, message }) => `${field}: ${message}`);
  return new StatusError(
    422,
    "Invalid",
    `${qualified(kind, group)} ${JSON.stringify(name)} is invalid: ${what.length === 1 ? what[0] : `[${what.join(", ")}]`}`,
    {
      name,
      ...(group === "" ? {} : { group }),
      kind,
      causes: causes.map(({ field, message }) => ({ reason: "FieldValueInvalid", message, field })),
    },
  );
}

export const expired = (message: string, continueToken?: string): StatusError =>
  new StatusError(410, "Expired", message, undefined, continueToken === undefined ? {} : { continue: continueToken });

export const tooLargeVersion = (asked: number, current: number): StatusError =>
  new StatusError(504, "Timeout", `Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1,
  });

const qualified = (resource: string, group: string): string => (group === "" ? resource : `${resource}.${group}`);
