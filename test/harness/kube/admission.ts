import { randomUUID } from "node:crypto";
import type { Kind } from "./kinds.ts";
import { apiVersionOf } from "./kinds.ts";
import {
  isObject,
  isSame,
  type Json,
  type JsonObject,
  type KubeObject,
  member,
  objectsOf,
  stringsOf,
  text,
} from "./kube-object.ts";
import type { ObjectStore } from "./object-store.ts";
import { jsonPatch } from "./patches.ts";
import type { Place, WriteOptions } from "./resources.ts";
import { selectsLabels } from "./selectors.ts";
import { StatusError } from "./status-error.ts";
import { callWebhook, type WebhookEndpoint } from "./webhook-call.ts";

/** One write, before it happens. */
export interface Admission {
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly kind: Kind;
  readonly place: Place;
  /** What would be there; undefined for a deletion. */
  readonly object: KubeObject | undefined;
  readonly old: KubeObject | undefined;
  readonly options: WriteOptions;
}

/** Gives the object as it may be written, or throws why not. */
export type Admit = (admission: Admission) => Promise<KubeObject & {}>;

/** Finds where a Service of webhooks listens. */
export type ResolveService = (namespace: string, name: string, port: number) => WebhookEndpoint | undefined;

/** One call of a webhook, as tests look at it. */
export interface WebhookCall {
  readonly webhook: string;
  readonly operation: string;
  readonly outcome: "allowed" | "denied" | "failed";
  readonly detail: string;
}

const GROUP = "admissionregistration.k8s.io";

/** Calls the webhooks of the configurations in the store: those that change in the order of their names, again where one asks for it, then those that only judge. */
export class WebhookAdmission {
  readonly #store: ObjectStore;
  readonly #resolve: ResolveService;
  /** Newest last. */
  readonly calls: WebhookCall[] = [];

  constructor(store: ObjectStore, resolve: ResolveService) {
    this.#store = store;
    this.#resolve = resolve;
  }

  readonly admit: Admit = async (admission) => {
    // Kubernetes lets no webhook keep an administrator from repairing webhooks.
    if (admission.kind.group === GROUP) return (admission.object ?? admission.old)!;
    let object = admission.object;
    const mutating = this.#webhooks("mutatingwebhookconfigurations");
    const called = new Map<JsonObject, KubeObject | undefined>();
    for (const round of [1, 2]) {
      for (const webhook of mutating) {
        if (
          round === 2 &&
          (webhook["reinvocationPolicy"] !== "IfNeeded" || !called.has(webhook) || isSame(called.get(webhook), object))
        )
          continue;
        const patch = await this.#call(webhook, { ...admission, object });
        if (patch === undefined) continue;
        if (patch !== null) object = jsonPatch(object as Json, patch) as KubeObject;
        called.set(webhook, object);
      }
    }
    for (const webhook of this.#webhooks("validatingwebhookconfigurations"))
      await this.#call(webhook, { ...admission, object });
    return (object ?? admission.old)!;
  };

  #webhooks(plural: string): readonly JsonObject[] {
    return this.#store.list(`${GROUP}/${plural}`).flatMap(({ webhooks }) => objectsOf(webhooks));
  }

  /** The operations of its patch, null for none; undefined where it is not concerned. */
  async #call(webhook: JsonObject, admission: Admission): Promise<Json | undefined> {
    if (!this.#concerns(webhook, admission)) return undefined;
    const name = text(webhook["name"]);
    const { operation, options } = admission;
    const note = (outcome: WebhookCall["outcome"], detail = ""): void =>
      void this.calls.push({ webhook: name, operation, outcome, detail });
    const sideEffects = webhook["sideEffects"];
    if (options.dryRun && sideEffects !== "None" && sideEffects !== "NoneOnDryRun")
      throw new StatusError(400, "BadRequest", `admission webhook ${JSON.stringify(name)} does not support dry run`);
    const request = this.#request(admission);
    let response: JsonObject;
    try {
      response = await callWebhook(this.#endpoint(webhook), Number(webhook["timeoutSeconds"] ?? 10) * 1000, request);
    } catch (error) {
      note("failed", (error as Error).message);
      if (webhook["failurePolicy"] === "Ignore") return null;
      throw new StatusError(
        500,
        "InternalError",
        `Internal error occurred: failed calling webhook ${JSON.stringify(name)}: ${(error as Error).message}`,
        {
          causes: [{ message: `failed calling webhook ${JSON.stringify(name)}` }],
        },
      );
    }
    for (const warning of stringsOf(response["warnings"])) options.warn(warning);
    if (response["allowed"] !== true) {
      const message = member(response, "status", "message");
      const reason = member(response, "status", "reason");
      note("denied", text(message ?? ""));
      throw new StatusError(
        Number(member(response, "status", "code") ?? 400) || 400,
        text(reason ?? ""),
        `admission webhook ${JSON.stringify(name)} denied the request${message === undefined ? (reason === undefined ? " without explanation" : `: ${text(reason)}`) : `: ${text(message)}`}`,
      );
    }
    note("allowed");
    const patch = response["patch"];
    return typeof patch === "string" ? (JSON.parse(Buffer.from(patch, "base64").toString()) as Json) : null;
  }

  #concerns(webhook: JsonObject, { operation, kind, place, object, old }: Admission): boolean {
    const has = (list: Json | undefined, value: string): boolean =>
      stringsOf(list).some((one) => one === "*" || one === value);
    const { subresource } = place;
    const resource = subresource === "" ? kind.plural : `${kind.plural}/${subresource}`;
    const isRule = objectsOf(webhook["rules"]).some((rule) => {
      const scope = rule["scope"] ?? "*";
      const isScope = scope === "*" || (scope === "Namespaced") === kind.namespaced;
      const isResource = stringsOf(rule["resources"]).some(
        (one) =>
          one === "*/*" ||
          one === resource ||
          (one === "*" && subresource === "") ||
          one === `${kind.plural}/*` ||
          one === `*/${subresource}`,
      );
      return (
        isScope &&
        isResource &&
        has(rule["operations"], operation) &&
        has(rule["apiGroups"], kind.group) &&
        has(rule["apiVersions"], kind.version)
      );
    });
    if (!isRule) return false;
    if (objectsOf(webhook["matchConditions"]).length > 0)
      throw new StatusError(500, "InternalError", "matchConditions are not understood here");
    const namespace =
      kind.group === "" && kind.kind === "Namespace"
        ? (object ?? old)
        : place.namespace === undefined
          ? undefined
          : this.#store.get("/namespaces", undefined, place.namespace);
    const selector = (field: string): JsonObject | undefined => webhook[field] as JsonObject | undefined;
    // What is in no namespace and is none meets every namespaceSelector.
    if (
      (kind.namespaced || namespace !== undefined) &&
      !selectsLabels(selector("namespaceSelector"), namespace?.metadata.labels ?? {})
    )
      return false;
    return [object, old].some(
      (one) => one !== undefined && selectsLabels(selector("objectSelector"), one.metadata.labels ?? {}),
    );
  }

  #endpoint(webhook: JsonObject): WebhookEndpoint {
    const config = webhook["clientConfig"];
    const caBundle = Buffer.from(text(member(config, "caBundle")), "base64").toString();
    const url = member(config, "url");
    if (typeof url === "string") {
      const { hostname, port, pathname, search } = new URL(url);
      return { host: hostname, port: Number(port || 443), serverName: hostname, path: pathname + search, caBundle };
    }
    const service = member(config, "service");
    if (!isObject(service)) throw new Error("clientConfig has neither url nor service");
    const [namespace, name] = [text(service["namespace"]), text(service["name"])];
    const found = this.#resolve(namespace, name, Number(service["port"] ?? 443));
    if (found === undefined) throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
    return { ...found, serverName: `${name}.${namespace}.svc`, path: text(service["path"] ?? "/"), caBundle };
  }

  #request({ operation, kind, place, object, old, options }: Admission): JsonObject {
    const { group, version, plural } = kind;
    const kindOf = { group, version, kind: kind.kind };
    const resource = { group, version, resource: plural };
    const { user, dryRun } = options;
    return {
      uid: randomUUID(),
      kind: kindOf,
      resource,
      ...(place.subresource === "" ? {} : { subResource: place.subresource, requestSubResource: place.subresource }),
      requestKind: kindOf,
      requestResource: resource,
      name: place.name,
      ...(place.namespace === undefined ? {} : { namespace: place.namespace }),
      operation,
      userInfo: {
        username: user.name,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        groups: user.groups,
        ...(user.extra ? { extra: user.extra } : {}),
      },
      object: object === undefined ? null : { ...object, apiVersion: apiVersionOf(kind) },
      oldObject: old ?? null,
      dryRun,
      options:
        operation === "DELETE"
          ? { kind: "DeleteOptions", apiVersion: "meta.k8s.io/v1" }
          : { kind: `${operation === "CREATE" ? "Create" : "Update"}Options`, apiVersion: "meta.k8s.io/v1" },
    };
  }
}
