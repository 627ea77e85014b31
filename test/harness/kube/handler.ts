import type { IncomingMessage, ServerResponse } from "node:http";
import { Authentication, type KubeUser } from "./authentication.ts";
import type { Access, RuleUse } from "./authorization.ts";
import { discovery } from "./discovery.ts";
import type { Faults } from "./faults.ts";
import { type Body, readBody, sendJson } from "./http-body.ts";
import { apiVersionOf, type Kinds, resourceKey } from "./kinds.ts";
import { isObject, type Json, type JsonObject, type KubeObject, plain, text } from "./kube-object.ts";
import type { Lists } from "./lists.ts";
import { applied } from "./managed-fields.ts";
import type { ObjectStore } from "./object-store.ts";
import { openApiV3 } from "./openapi.ts";
import { jsonPatch, mergePatch, strategicMergePatch } from "./patches.ts";
import { isTrue, type ResourceRequest, resourceRequest } from "./request-info.ts";
import { type DeleteOptions, objectOf, type Place, type Resources, timestamp, type WriteOptions } from "./resources.ts";
import { Reviews, tokenRequest } from "./reviews.ts";
import { badRequest, noSuchPath, notFound, StatusError } from "./status-error.ts";
import { metadataListOf, metadataOf, tableOf, wantsMetadata, wantsTable } from "./tables.ts";
import { WatchStream } from "./watch-stream.ts";

/** One request, as tests look at it. */
export interface Asked {
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly status: number;
  /** With the query. */
  readonly path: string;
  readonly allowedBy: readonly RuleUse[];
}

export interface KubeHandlerParts {
  readonly store: ObjectStore;
  readonly kinds: Kinds;
  readonly resources: Resources;
  readonly lists: Lists;
  readonly authentication: Authentication;
  readonly faults: Faults;
  /** What allows that; nothing: it is forbidden. */
  readonly rulesFor: (access: Access) => readonly RuleUse[];
  readonly onAsked: (asked: Asked) => void;
  readonly bookmarkMs: number;
  readonly url: () => string;
}

/** What a request comes to: a status and its document. Undefined: the answer is on its way by itself. */
type Answer = { readonly status: number; readonly value: JsonObject } | undefined;

/** From requests to answers: who asks, whether they may, and what they want. */
export class KubeHandler {
  readonly #parts: KubeHandlerParts;
  readonly #reviews: Reviews;
  readonly #watches = new Set<WatchStream>();

  constructor(parts: KubeHandlerParts) {
    this.#parts = parts;
    this.#reviews = new Reviews(parts.authentication, (access) => parts.rulesFor(access).length > 0);
  }

  bookmark(): void {
    for (const watch of this.#watches) watch.bookmark();
  }

  hangWatches(): void {
    for (const watch of this.#watches) watch.hang();
  }

  closeWatches(): void {
    for (const watch of this.#watches) watch.close();
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { kinds, faults, onAsked } = this.#parts;
    const url = new URL(request.url ?? "/", "https://kubernetes");
    let asked: Omit<Asked, "status"> = {
      user: "",
      verb: (request.method ?? "").toLowerCase(),
      group: "",
      resource: "",
      namespace: undefined,
      name: undefined,
      path: request.url ?? "/",
      allowedBy: [],
    };
    try {
      const wanted = resourceRequest(request.method ?? "GET", url, kinds);
      await faults.before(wanted);
      const user = this.#parts.authentication.userOf(request);
      const access = accessOf(user, wanted, asked.verb, url.pathname);
      const allowedBy = this.#parts.rulesFor(access);
      asked = {
        ...asked,
        user: user.name,
        verb: access.verb,
        group: access.group,
        resource: access.resource,
        namespace: access.namespace,
        name: access.name,
        allowedBy,
      };
      if (allowedBy.length === 0) throw forbidden(access);
      const answer =
        wanted === undefined
          ? this.#document(url.pathname, response)
          : await this.#serve(wanted, user, request, response);
      if (answer !== undefined) sendJson(response, answer.status, answer.value);
      onAsked({ ...asked, status: answer?.status ?? response.statusCode });
    } catch (error) {
      const failure =
        error instanceof StatusError ? error : new StatusError(500, "InternalError", text((error as Error).stack));
      const retryAfter = failure.retryAfterS === undefined ? {} : { "retry-after": text(failure.retryAfterS) };
      onAsked({ ...asked, status: failure.code });
      sendJson(response, failure.code, failure, retryAfter);
    }
  }

  #document(path: string, response: ServerResponse): Answer {
    const { kinds, authentication } = this.#parts;
    if (/^\/(healthz|livez|readyz)(\/|$)/.test(path)) {
      response.writeHead(200, { "content-type": "text/plain" }).end("ok");
      return undefined;
    }
    if (path === "/openapi/v2") {
      // A document without definitions, in protobuf: nothing at all. Old clients then check nothing.
      response.writeHead(200, { "content-type": "application/octet-stream" }).end();
      return undefined;
    }
    const value =
      path === "/version"
        ? VERSION
        : path === "/openid/v1/jwks"
          ? (authentication.jwks() as JsonObject)
          : path === "/.well-known/openid-configuration"
            ? (Authentication.configuration(this.#parts.url()) as JsonObject)
            : path.startsWith("/openapi/v3")
              ? openApiV3(path, kinds)
              : discovery(path.replace(/\/$/, ""), kinds);
    if (value === undefined) throw noSuchPath();
    return { status: 200, value };
  }

  async #serve(
    wanted: ResourceRequest,
    user: KubeUser,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Answer> {
    const { kind, query, subresource, verb } = wanted;
    const isToken = kind.plural === "serviceaccounts" && subresource === "token";
    if (subresource !== "" && !(subresource === "status" && kind.hasStatus) && !isToken) throw noSuchPath();
    if (kind.verbs !== undefined && !kind.verbs.includes(verb)) throw notAllowed();
    if (verb === "watch") return this.#watch(wanted, request, response);
    const asTable = wantsTable(request.headers.accept);
    const asMetadata = wantsMetadata(request.headers.accept);
    if (verb === "list") {
      const list = this.#parts.lists.list(kind, wanted.namespace, query);
      if (asMetadata) {
        const objects = list["items"] as unknown as readonly KubeObject[];
        return { status: 200, value: metadataListOf(objects, list["metadata"] as JsonObject) };
      }
      if (!asTable) return { status: 200, value: list };
      return {
        status: 200,
        value: tableOf(
          kind,
          list["items"] as unknown as readonly KubeObject[],
          list["metadata"] as JsonObject,
          query.get("includeObject"),
        ),
      };
    }
    if (verb === "get") {
      const object = this.#parts.resources.get(placeOf(wanted));
      if (asMetadata) return { status: 200, value: metadataOf(object) };
      if (!asTable) return { status: 200, value: object };
      return {
        status: 200,
        value: tableOf(
          kind,
          [object],
          { resourceVersion: object.metadata.resourceVersion },
          query.get("includeObject"),
        ),
      };
    }
    const body = await readBody(request);
    const options: WriteOptions = {
      user,
      dryRun: query.getAll("dryRun").includes("All"),
      fieldManager:
        query.get("fieldManager") ?? (request.headers["user-agent"] ?? "unknown").split("/")[0]!.slice(0, 128),
      warn: (text) => void response.appendHeader("warning", `299 - ${JSON.stringify(text)}`),
    };
    return this.#write(wanted, body, options);
  }

  async #write(wanted: ResourceRequest, body: Body, options: WriteOptions): Promise<Answer> {
    const { resources, lists, store, authentication } = this.#parts;
    const { kind, namespace, query } = wanted;
    switch (wanted.verb) {
      case "create": {
        const object = objectOf(withKind(body.value, wanted));
        if (wanted.subresource === "token") {
          const value = tokenRequest(object, namespace!, wanted.name!, store, authentication);
          return { status: 201, value };
        }
        if (kind.verbs !== undefined) {
          const value = this.#reviews.answer(object, options.user);
          if (value === undefined) throw noSuchPath();
          return { status: 201, value };
        }
        if (wanted.name !== undefined || (kind.namespaced && namespace === undefined)) throw notAllowed();
        return { status: 201, value: await resources.create(kind, namespace, object, options) };
      }
      case "update":
        return {
          status: 200,
          value: await resources.update(placeOf(wanted), objectOf(withKind(body.value, wanted)), options),
        };
      case "patch":
        return this.#patch(placeOf(wanted), body, query, options);
      case "delete": {
        const place = placeOf(wanted);
        const gone = await resources.delete(place, deleteOptions(body, query), options);
        const isGone = store.get(resourceKey(kind), namespace, place.name) === undefined;
        // A pod is answered with itself and most else with a Status, as in Kubernetes; what still ends is answered with itself.
        if (!isGone || kind.plural === "pods" || kind.plural === "namespaces") return { status: 200, value: gone };
        const details = {
          name: place.name,
          ...(kind.group === "" ? {} : { group: kind.group }),
          kind: kind.plural,
          uid: gone.metadata.uid,
        };
        return { status: 200, value: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details } };
      }
      case "deletecollection": {
        if (kind.namespaced && namespace === undefined) throw notAllowed();
        const list = lists.list(kind, namespace, query);
        const items = list["items"] as unknown as readonly KubeObject[];
        for (const { metadata } of items)
          await resources.delete(
            { kind, namespace: metadata.namespace, name: metadata.name, subresource: "" },
            deleteOptions(body, query),
            options,
          );
        return { status: 200, value: list };
      }
      default:
        throw notAllowed();
    }
  }

  async #patch(
    place: Place,
    { contentType, value }: Body,
    query: URLSearchParams,
    options: WriteOptions,
  ): Promise<Answer> {
    const { resources, store } = this.#parts;
    const { kind, namespace, name } = place;
    if (contentType === "application/apply-patch+yaml") {
      if (!query.has("fieldManager"))
        throw badRequest(
          'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        );
      const wanted = objectOf(withKind(value, place));
      if (wanted.metadata.managedFields !== undefined) throw badRequest("metadata.managedFields must be nil");
      const configuration = {
        ...wanted,
        metadata: { ...wanted.metadata, name, ...(namespace === undefined ? {} : { namespace }) },
      };
      const apply = {
        fieldManager: options.fieldManager,
        force: isTrue(query, "force"),
        subresource: place.subresource,
        time: timestamp(),
      };
      if (store.get(resourceKey(kind), namespace, name) === undefined) {
        if (place.subresource !== "") throw notFound(kind.plural, kind.group, name);
        return {
          status: 201,
          value: await resources.create(kind, namespace, applied(undefined, configuration, apply), options),
        };
      }
      const version = wanted.metadata.resourceVersion;
      return {
        status: 200,
        value: await resources.change(
          place,
          (current) => atVersion(applied(current, configuration, apply), version ?? current.metadata.resourceVersion),
          options,
        ),
      };
    }
    if (value === undefined) throw badRequest("the patch is empty");
    const patch = value;
    if (contentType === "application/strategic-merge-patch+json" && kind.custom)
      throw new StatusError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
      );
    const change = PATCHES[contentType];
    if (change === undefined)
      throw new StatusError(
        415,
        "UnsupportedMediaType",
        `the body of the request was in an unknown format - accepted media types include: ${Object.keys(PATCHES).join(", ")}`,
      );
    return {
      status: 200,
      value: await resources.change(place, (current) => objectOf(plain(change(current as JsonObject, patch))), options),
    };
  }

  #watch(wanted: ResourceRequest, request: IncomingMessage, response: ServerResponse): undefined {
    const { store, faults, bookmarkMs } = this.#parts;
    const { kind, query } = wanted;
    const asTable = wantsTable(request.headers.accept);
    const asMetadata = wantsMetadata(request.headers.accept);
    const render = (object: KubeObject, isFirst: boolean): Json => {
      if (asMetadata) return metadataOf(object);
      if (!asTable) return object;
      const table = tableOf(
        kind,
        [object],
        { resourceVersion: object.metadata.resourceVersion },
        query.get("includeObject"),
      );
      return isFirst ? table : { ...table, columnDefinitions: null };
    };
    const stream = new WatchStream(kind, wanted.namespace, wanted.name, query, store, response, render, {
      bookmarkMs,
      fails410: faults.takeGone(),
      hangs: faults.hangsWatches,
    });
    this.#watches.add(stream);
    response.once("close", () => {
      this.#watches.delete(stream);
    });
    return undefined;
  }
}

const VERSION: JsonObject = { major: "1", minor: "32", gitVersion: "v1.32.0", gitCommit: "", gitTreeState: "clean", buildDate: "1970-01-01T00:00:00Z", goVersion: "", compiler: "", platform: "linux/amd64" }; // biome-ignore format: a table

const PATCHES: Readonly<Record<string, (current: JsonObject, patch: Json) => Json>> = {
  "application/json-patch+json": jsonPatch,
  "application/merge-patch+json": mergePatch,
  "application/strategic-merge-patch+json": strategicMergePatch,
};

function placeOf({ kind, namespace, name, subresource }: ResourceRequest): Place {
  if (name === undefined) throw notAllowed();
  return { kind, namespace, name, subresource };
}

/** Bodies of clients that leave out what the path says. */
function withKind(value: Json | undefined, { kind }: Pick<Place, "kind">): Json | undefined {
  return isObject(value) && value["kind"] === undefined && value["apiVersion"] === undefined
    ? { ...value, apiVersion: apiVersionOf(kind), kind: kind.kind }
    : value;
}

function atVersion(object: KubeObject, resourceVersion: string | undefined): KubeObject {
  return resourceVersion === undefined ? object : { ...object, metadata: { ...object.metadata, resourceVersion } };
}

function deleteOptions({ value }: Body, query: URLSearchParams): DeleteOptions {
  const grace = query.get("gracePeriodSeconds");
  return { ...(grace === null ? {} : { gracePeriodSeconds: Number(grace) }), ...(isObject(value) ? value : {}) };
}

function accessOf(user: KubeUser, wanted: ResourceRequest | undefined, method: string, path: string): Access {
  if (wanted === undefined)
    return { user, verb: method, group: "", resource: "", namespace: undefined, name: undefined, path };
  const { kind, namespace, subresource, verb, name, query } = wanted;
  const resource = subresource === "" ? kind.plural : `${kind.plural}/${subresource}`;
  // A list or watch of one name is allowed by a rule of that name.
  const single = /^metadata\.name=([^,]+)$/.exec(query.get("fieldSelector") ?? "")?.[1];
  return {
    user,
    verb,
    group: kind.group,
    resource,
    namespace: kind.plural === "namespaces" ? name : namespace,
    name: name ?? single,
  };
}

function forbidden({ user, verb, group, resource, namespace, name, path }: Access): StatusError {
  if (path !== undefined)
    return new StatusError(
      403,
      "Forbidden",
      `forbidden: User ${JSON.stringify(user.name)} cannot ${verb} path ${JSON.stringify(path)}`,
    );
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  const what = `${resource}${group === "" ? "" : `.${group}`}${name === undefined ? "" : ` ${JSON.stringify(name)}`}`;
  return new StatusError(
    403,
    "Forbidden",
    `${what} is forbidden: User ${JSON.stringify(user.name)} cannot ${verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(group)} ${where}`,
    {
      ...(name === undefined ? {} : { name }),
      ...(group === "" ? {} : { group }),
      kind: resource,
    },
  );
}

const notAllowed = (): StatusError =>
  new StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
