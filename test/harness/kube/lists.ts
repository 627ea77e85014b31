import { randomUUID } from "node:crypto";
import { apiVersionOf, type Kind, resourceKey } from "./kinds.ts";
import type { JsonObject, KubeObject } from "./kube-object.ts";
import type { ObjectStore } from "./object-store.ts";
import { inVersion } from "./resources.ts";
import { fieldSelector, labelSelector, type ObjectMatch } from "./selectors.ts";
import { badRequest, expired, invalid, tooLargeVersion } from "./status-error.ts";

/** The selectors of a query, as one. */
export function selection(kind: Kind, query: URLSearchParams, name?: string): ObjectMatch {
  const labels = labelSelector(query.get("labelSelector") ?? "");
  const fields = fieldSelector(query.get("fieldSelector") ?? "", kind.kind);
  return (object) => (name === undefined || object.metadata.name === name) && labels(object) && fields(object);
}

/** A number of a query; undefined where it is not there. Throws 400 for anything but a whole number. */
export function versionOf(query: URLSearchParams, name = "resourceVersion"): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^\d+$/.test(text))
    throw badRequest(
      `Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  return Number(text);
}

interface Rest {
  readonly items: readonly KubeObject[];
  readonly revision: number;
  readonly isWhole: boolean;
}

/** Lists, whole and in chunks: all chunks of one are of the same version, until its tokens are made to expire. */
export class Lists {
  readonly #store: ObjectStore;
  readonly #rests = new Map<string, Rest>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** From now on each token that was given is answered with 410. */
  expireTokens(): void {
    this.#rests.clear();
  }

  list(kind: Kind, namespace: string | undefined, query: URLSearchParams): JsonObject {
    const limit = Number(query.get("limit") ?? 0);
    const { items, revision, isWhole } = this.#begin(kind, namespace, query);
    const page = limit > 0 ? items.slice(0, limit) : items;
    const left = items.length - page.length;
    let token: string | undefined;
    if (left > 0) {
      token = Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: revision, start: randomUUID() })).toString(
        "base64url",
      );
      this.#rests.set(token, { items: items.slice(limit), revision, isWhole });
    }
    return {
      kind: `${kind.kind}List`,
      apiVersion: apiVersionOf(kind),
      metadata: {
        resourceVersion: String(revision),
        ...(token === undefined ? {} : { continue: token }),
        ...(left > 0 && isWhole ? { remainingItemCount: left } : {}),
      },
      items: page.map((object) => inVersion(kind, object)),
    };
  }

  #begin(kind: Kind, namespace: string | undefined, query: URLSearchParams): Rest {
    const token = query.get("continue");
    const wanted = versionOf(query);
    const match = query.get("resourceVersionMatch");
    if (token !== null && token !== "") {
      if (wanted !== undefined && wanted !== 0)
        throw badRequest("specifying resource version is not allowed when using continue");
      const rest = this.#rests.get(token);
      if (rest === undefined)
        throw expired(
          "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
        );
      return rest;
    }
    if (match !== null && wanted === undefined)
      throw invalid("ListOptions", "meta.k8s.io", "", [
        {
          field: "resourceVersionMatch",
          message: "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        },
      ]);
    const newest = this.#store.revision;
    if (wanted !== undefined && wanted > newest) throw tooLargeVersion(wanted, newest);
    const revision = match === "Exact" && wanted !== undefined ? wanted : newest;
    const selects = selection(kind, query);
    const items = this.#store.list(resourceKey(kind), namespace, revision).filter(selects);
    return { items, revision, isWhole: !query.has("labelSelector") && !query.has("fieldSelector") };
  }
}
