import type { IncomingMessage } from "node:http";
import { err, ok, type Result } from "@heddle/base";
import { type Message, messageFromJson } from "@heddle/proto";
import type { Caller } from "./access.ts";
import { completeKey, findStoredType, formatKey, knownTypes, type ResourceKey } from "./resource-key.ts";
import { applyRequestFrom, deleteRequestFrom, MESSAGES } from "./resource-messages.ts";
import type { ResourceService } from "./resource-service.ts";
import {
  type BodyRoom,
  contentTypeOf,
  pathSegments,
  Query,
  type RestError,
  readBody,
  restError,
} from "./rest-request.ts";
import type { ApiError, ApplyRequest, BatchResponse, Selector } from "./wire.ts";

/** What a request is answered with. */
export type RestAnswer =
  | {
      readonly type: "json";
      readonly status: number;
      readonly body: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly type: "watch"; readonly selector: Selector; readonly fromRevision: number | undefined };

/**
 * The paths of the REST face:
 *
 *     GET    /v1/resources                  a page, or with ?watch=true a stream of events
 *     POST   /v1/resources                  applies a YAML or JSON text
 *     POST   /v1/resources:apply            applies an ApplyRequest in proto JSON: several texts as one batch
 *     POST   /v1/resources:delete           deletes by a DeleteRequest in proto JSON
 *     GET, PUT, DELETE /v1/resources/TYPE/[NAMESPACE/]NAME
 */
export async function answerRest(
  service: ResourceService,
  caller: Caller,
  request: IncomingMessage,
  bodies: BodyRoom,
): Promise<Result<RestAnswer, RestError>> {
  const [path, query] = splitOnce(request.url ?? "", "?");
  const segments = pathSegments(path);
  if (!segments.ok) return segments;
  const [version, what, ...rest] = segments.value;
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
  const route = { service, caller, request, bodies, query, method };
  if (version === "v1" && what === "resources" && rest.length === 0) return collection(route);
  if (version === "v1" && what === "resources:apply" && rest.length === 0) return applyMessage(route);
  if (version === "v1" && what === "resources:delete" && rest.length === 0) return deleteMessage(route);
  if (version === "v1" && what === "resources") return single(route, rest);
  return err(restError(404, "there is nothing here; resources are at /v1/resources", "NOT_FOUND"));
}

interface Route {
  readonly service: ResourceService;
  readonly caller: Caller;
  readonly request: IncomingMessage;
  readonly bodies: BodyRoom;
  readonly query: string;
  readonly method: string;
}

type Answer = Promise<Result<RestAnswer, RestError>> | Result<RestAnswer, RestError>;

function collection(route: Route): Answer {
  if (route.method === "GET") return listOrWatch(route);
  if (route.method === "POST") return applyText(route, undefined);
  return notAllowed(route, "GET, POST");
}

function listOrWatch({ service, caller, request, query: text }: Route): Answer {
  const selectors = ["type", "namespace", "namePrefix", "nodeCluster"] as const;
  const query = Query.read(text, [...selectors, "limit", "pageToken", "showSecrets", "watch", "from"]);
  if (!query.ok) return query;
  const [watch, showSecrets] = [query.value.flag("watch"), query.value.flag("showSecrets")];
  const [limit, from] = [query.value.integer("limit"), query.value.integer("from")];
  if (!watch.ok) return watch;
  if (!showSecrets.ok) return showSecrets;
  if (!limit.ok) return limit;
  if (!from.ok) return from;
  const selector = Object.fromEntries(selectors.map((name) => [name, query.value.text(name)]));
  if (watch.value && request.method === "HEAD") return err(restError(405, "a watch is asked for with GET"));
  if (watch.value) return ok({ type: "watch", selector, fromRevision: from.value });
  if (from.value !== undefined) return err(restError(400, "?from goes with ?watch=true"));
  const pageToken = query.value.text("pageToken");
  const page = service.list(caller, {
    ...selector,
    pageSize: limit.value ?? 0,
    pageToken,
    showSecrets: showSecrets.value,
  });
  return page.ok ? ok({ type: "json", status: 200, body: page.value }) : err({ error: page.error });
}

async function applyText(route: Route, expected: TextExpectation | undefined): Promise<Result<RestAnswer, RestError>> {
  const { service, caller, request, bodies, query: text } = route;
  const query = Query.read(text, ["dryRun", "nodeCluster", "expectedVersion", "includeContent", "manager", "source"]);
  if (!query.ok) return query;
  const [dryRun, includeContent] = [query.value.flag("dryRun"), query.value.flag("includeContent")];
  const expectedVersion = query.value.integer("expectedVersion");
  if (!dryRun.ok) return dryRun;
  if (!includeContent.ok) return includeContent;
  if (!expectedVersion.ok) return expectedVersion;
  const type = contentTypeOf(request);
  if (!type.ok) return type;
  const body = await readBody(request, bodies);
  if (!body.ok) return body;
  if (type.value === "application/json" && !isJson(body.value)) return err(restError(400, "the body is no JSON"));
  const version = expected?.version ?? expectedVersion.value;
  const apply: ApplyRequest = {
    manifests: [{ source: query.value.text("source") || "request", text: body.value }],
    nodeCluster: query.value.text("nodeCluster"),
    dryRun: dryRun.value,
    includeContent: includeContent.value,
    manager: query.value.text("manager"),
    ...(version !== undefined && { expectedVersion: version }),
  };
  return batchAnswer(await service.apply(caller, apply, expected?.key), expected?.isPrecondition === true);
}

interface TextExpectation {
  readonly key: ResourceKey;
  readonly version: number | undefined;
  readonly isPrecondition: boolean;
}

async function applyMessage(route: Route): Promise<Result<RestAnswer, RestError>> {
  const message = await readMessage(route, MESSAGES.applyRequest);
  if (!message.ok) return message;
  return batchAnswer(await route.service.apply(route.caller, applyRequestFrom(message.value)), false);
}

async function deleteMessage(route: Route): Promise<Result<RestAnswer, RestError>> {
  const message = await readMessage(route, MESSAGES.deleteRequest);
  if (!message.ok) return message;
  return batchAnswer(await route.service.delete(route.caller, deleteRequestFrom(message.value)), false);
}

async function readMessage(route: Route, typeName: string): Promise<Result<Message, RestError>> {
  const { request, bodies, query, method } = route;
  if (method !== "POST") return notAllowed(route, "POST");
  const none = Query.read(query, []);
  if (!none.ok) return none;
  const type = contentTypeOf(request);
  if (!type.ok) return type;
  if (type.value !== "application/json") return err(restError(415, "allowed content type here is application/json"));
  const body = await readBody(request, bodies);
  if (!body.ok) return body;
  let json: unknown;
  try {
    json = JSON.parse(body.value);
  } catch {
    return err(restError(400, "the body is no JSON"));
  }
  const message = messageFromJson(typeName, json);
  if (message.ok) return message;
  return err(restError(400, message.error.map(({ path, message: why }) => `${path}: ${why}`).join("; ")));
}

async function single(route: Route, segments: readonly string[]): Promise<Result<RestAnswer, RestError>> {
  const { service, caller, request, method } = route;
  const nodeCluster = new URLSearchParams(route.query).get("nodeCluster") ?? "";
  const key = keyOfPath(segments, nodeCluster);
  if (!key.ok) return key;
  if (method === "GET") return getSingle(route, key.value);
  if (method !== "PUT" && method !== "DELETE") return notAllowed(route, "GET, PUT, DELETE");
  const found = service.get(caller, key.value);
  if (!found.ok && found.error.code === "UNAVAILABLE") return err({ error: found.error }); // nobody knows whether it exists
  const version = preconditionOf(request, key.value, found.ok ? found.value.version : 0);
  if (!version.ok) return version;
  const isPrecondition = version.value !== undefined;
  if (method === "PUT") return applyText(route, { key: key.value, version: version.value, isPrecondition });
  const query = Query.read(route.query, ["dryRun", "nodeCluster"]);
  if (!query.ok) return query;
  const dryRun = query.value.flag("dryRun");
  if (!dryRun.ok) return dryRun;
  const expected = version.value === undefined ? {} : { expectedVersion: version.value };
  return batchAnswer(
    await service.delete(caller, { keys: [key.value], dryRun: dryRun.value, ...expected }),
    isPrecondition,
  );
}

function getSingle({ service, caller, request, query: text }: Route, key: ResourceKey): Result<RestAnswer, RestError> {
  const query = Query.read(text, ["nodeCluster", "showSecrets"]);
  if (!query.ok) return query;
  const showSecrets = query.value.flag("showSecrets");
  if (!showSecrets.ok) return showSecrets;
  const found = service.get(caller, key, showSecrets.value);
  if (!found.ok) return err({ error: found.error });
  const etag = `"${found.value.version}"`;
  const isKnown = request.headers["if-none-match"] === etag;
  return ok({ type: "json", status: isKnown ? 304 : 200, body: found.value, headers: { etag } });
}

/** `/v1/resources/cluster/NAME`, `/v1/resources/service/[NAMESPACE/]NAME`; a slash within a name is %2F. */
function keyOfPath([type = "", ...names]: readonly string[], nodeCluster: string): Result<ResourceKey, RestError> {
  const stored = findStoredType(type);
  if (stored === undefined)
    return err(restError(404, `there is no type "${type}"; allowed are ${knownTypes()}`, "NOT_FOUND"));
  if (names.length === 0 || names.length > (stored.namespaced ? 2 : 1))
    return err(
      restError(
        404,
        `a ${stored.shortNames[0]} is at .../${type}/${stored.namespaced ? "[NAMESPACE/]" : ""}NAME; a slash within a name is %2F`,
        "NOT_FOUND",
      ),
    );
  const [namespace, name] = names.length === 2 ? names : ["", names[0]];
  const key = completeKey({ type, namespace: namespace ?? "", name: name ?? "", nodeCluster });
  return key.ok ? key : err(restError(400, key.error));
}

/** The version that RFC 9110 §13.1 has a request depend on; undefined: none. */
function preconditionOf(
  { headers }: IncomingMessage,
  key: ResourceKey,
  found: number,
): Result<number | undefined, RestError> {
  const { "if-match": ifMatch, "if-none-match": ifNoneMatch } = headers;
  if (ifMatch !== undefined && ifNoneMatch !== undefined)
    return err(restError(400, "If-Match and If-None-Match exclude each other"));
  if (ifNoneMatch !== undefined)
    return ifNoneMatch === "*" ? ok(0) : err(restError(400, "If-None-Match: allowed is * with what changes something"));
  if (ifMatch === undefined) return ok(undefined);
  if (ifMatch === "*") return found > 0 ? ok(found) : err(restError(412, `there is no ${formatKey(key)}`, "ABORTED"));
  const version = /^"(\d{1,15})"$/.exec(ifMatch)?.[1];
  return version === undefined
    ? err(restError(400, `If-Match: found ${ifMatch.slice(0, 60)}, allowed: * and one version in quotes`))
    : ok(Number(version));
}

function batchAnswer(result: Result<BatchResponse, ApiError>, isPrecondition: boolean): Result<RestAnswer, RestError> {
  if (!result.ok) {
    const { error } = result;
    return err(error.code === "ABORTED" && isPrecondition ? { error, status: 412 } : { error });
  }
  const [first, ...more] = result.value.outcomes;
  const headers = more.length === 0 && first !== undefined && first.version > 0 ? { etag: `"${first.version}"` } : {};
  return ok({ type: "json", status: 200, body: result.value, headers });
}

function notAllowed({ method }: Route, allow: string): Result<never, RestError> {
  return err(restError(405, `${method} is not allowed here; ${allow} are`, "INVALID_ARGUMENT", { allow }));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function splitOnce(text: string, at: string): readonly [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ""] : [text.slice(0, index), text.slice(index + 1)];
}
