import type { IncomingMessage } from "node:http";
import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import { ANYBODY, type Caller } from "./access.ts";
import {
  type BodyRoom,
  contentTypeOf,
  pathSegments,
  Query,
  type RestError,
  readBody,
  restError,
} from "./rest-request.ts";
import type { RestAnswer } from "./rest-routes.ts";
import type { ApiError } from "./wire.ts";

/** What the REST face needs of a certificate authority. */
export interface CaAdministration {
  inspect(): Json;
  /** Makes a join token for a workload's account. `by`: who asked, for the audit. */
  createJoinToken(request: JoinTokenRequest, by: string): Promise<Result<JoinTokenAnswer, ApiError>>;
  /** Begins to replace the root; `next`: takes the step that is under way now. */
  rotate(step: "begin" | "next", by: string): Promise<Result<Json, ApiError>>;
}

export interface JoinTokenRequest {
  readonly namespace: string;
  readonly account: string;
  /** Undefined: an hour. */
  readonly ttlSeconds: number | undefined;
}

export interface JoinTokenAnswer {
  /** It is shown this once. */
  readonly token: string;
  readonly spiffeId: string;
  /** ISO 8601. */
  readonly expires: string;
}

/**
 * The paths of the certificate authority:
 *
 *     GET    /v1/ca                 what it is and what it trusts
 *     POST   /v1/ca/join-tokens     {"namespace", "account", "ttlSeconds"}: makes a join token
 *     POST   /v1/ca/rotate          {"step": "begin" | "next"}
 *
 * Undefined: the path is none of them.
 */
export async function answerCa(
  ca: CaAdministration | undefined,
  caller: Caller,
  request: IncomingMessage,
  bodies: BodyRoom,
): Promise<Result<RestAnswer, RestError> | undefined> {
  const [path = "", text = ""] = (request.url ?? "").split("?", 2);
  const segments = pathSegments(path);
  if (!segments.ok || segments.value[0] !== "v1" || segments.value[1] !== "ca") return undefined;
  if (ca === undefined) return err(restError(404, "there is no certificate authority (--trust-domain)", "NOT_FOUND"));
  const none = Query.read(text, []);
  if (!none.ok) return none;
  const method = request.method === "HEAD" ? "GET" : request.method;
  const what = segments.value.slice(2).join("/");
  if (what === "") return method === "GET" ? done(ca.inspect()) : notAllowed("GET");
  if (what !== "join-tokens" && what !== "rotate") return err(restError(404, "there is nothing here", "NOT_FOUND"));
  if (method !== "POST") return notAllowed("POST");
  const body = await readObject(request, bodies);
  if (!body.ok) return body;
  return what === "rotate" ? rotate(ca, caller, body.value) : createJoinToken(ca, caller, body.value);
}

async function createJoinToken(
  ca: CaAdministration,
  caller: Caller,
  body: { readonly [key: string]: Json },
): Promise<Result<RestAnswer, RestError>> {
  const { namespace = "default", account = "default", ttlSeconds, ...others } = body;
  const stranger = Object.keys(others)[0];
  if (stranger !== undefined) return err(restError(400, `${stranger}: is not a field here`));
  if (typeof namespace !== "string") return err(restError(400, "namespace: is no text"));
  if (typeof account !== "string") return err(restError(400, "account: is no text"));
  if (ttlSeconds !== undefined && typeof ttlSeconds !== "number")
    return err(restError(400, "ttlSeconds: is no number"));
  const fault = joinTokenFault(caller, namespace);
  if (fault !== undefined) return err(restError(403, fault, "PERMISSION_DENIED"));
  const made = await ca.createJoinToken({ namespace, account, ttlSeconds }, caller.name);
  return made.ok ? done({ ...made.value }) : err({ error: made.error });
}

/** Whoever has a join token is that workload: an open API, which everybody on the machine reaches, makes none. */
function joinTokenFault(caller: Caller, namespace: string): string | undefined {
  if (caller === ANYBODY)
    return "join tokens are made for a token of the role admin (--api-tokens); heddle token join --local makes one for a file";
  if (caller.role !== "admin") return `"${caller.name}" has the role ${caller.role}; join tokens are made for admins`;
  if (caller.groups === undefined && caller.namespaces === undefined) return undefined;
  return caller.namespaces?.includes(namespace) === true
    ? undefined
    : `"${caller.name}" may make no join tokens for the namespace ${namespace}`;
}

async function rotate(
  ca: CaAdministration,
  caller: Caller,
  body: { readonly [key: string]: Json },
): Promise<Result<RestAnswer, RestError>> {
  const { step = "begin", ...others } = body;
  if ((step !== "begin" && step !== "next") || Object.keys(others).length > 0)
    return err(restError(400, 'allowed: {"step": "begin"} and {"step": "next"}'));
  // Whoever may write everything on an open API may do this too: it gives nobody an identity.
  const mayRotate =
    caller === ANYBODY || (caller.role === "admin" && caller.groups === undefined && caller.namespaces === undefined);
  if (!mayRotate)
    return err(restError(403, `"${caller.name}" may not: it takes the role admin for everything`, "PERMISSION_DENIED"));
  const rotated = await ca.rotate(step, caller.name);
  return rotated.ok ? done(rotated.value) : err({ error: rotated.error });
}

async function readObject(
  request: IncomingMessage,
  bodies: BodyRoom,
): Promise<Result<{ readonly [key: string]: Json }, RestError>> {
  const type = contentTypeOf(request);
  if (!type.ok) return type;
  if (type.value !== "application/json") return err(restError(415, "allowed content type here is application/json"));
  const body = await readBody(request, bodies);
  if (!body.ok) return body;
  try {
    const json = JSON.parse(body.value === "" ? "{}" : body.value) as Json;
    if (isJsonObject(json)) return ok(json);
  } catch {
    // told below
  }
  return err(restError(400, "the body is no JSON object"));
}

function done(body: unknown): Result<RestAnswer, RestError> {
  return ok({ type: "json", status: 200, body });
}

function notAllowed(allow: string): Result<never, RestError> {
  return err(restError(405, `allowed here is ${allow}`, "INVALID_ARGUMENT", { allow }));
}
