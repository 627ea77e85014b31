import { API_AUDIENCE, type Authentication, type KubeUser } from "./authentication.ts";
import type { Access } from "./authorization.ts";
import { type JsonObject, type KubeObject, member, stringsOf, text } from "./kube-object.ts";
import type { ObjectStore } from "./object-store.ts";
import { badRequest, notFound } from "./status-error.ts";

/** The kinds that are only asked, and never kept. */
export class Reviews {
  readonly #authentication: Authentication;
  readonly #isAllowed: (access: Access) => boolean;

  constructor(authentication: Authentication, isAllowed: (access: Access) => boolean) {
    this.#authentication = authentication;
    this.#isAllowed = isAllowed;
  }

  /** Undefined for a kind that is none of these. */
  answer(review: KubeObject, user: KubeUser): KubeObject | undefined {
    switch (review.kind) {
      case "TokenReview":
        return { ...review, status: this.#token(review) };
      case "SelfSubjectReview":
        return { ...review, status: { userInfo: userInfo(user) } };
      case "SelfSubjectAccessReview":
        return { ...review, status: this.#access(review, user) };
      case "SubjectAccessReview": {
        const {
          user: name,
          groups,
          uid,
        } = (review["spec"] ?? {}) as { user?: string; groups?: string[]; uid?: string };
        return {
          ...review,
          status: this.#access(review, {
            name: name ?? "",
            groups: groups ?? [],
            ...(uid === undefined ? {} : { uid }),
          }),
        };
      }
      default:
        return undefined;
    }
  }

  #token({ spec }: KubeObject): JsonObject {
    const audiences = stringsOf(member(spec, "audiences"));
    const token = member(spec, "token");
    if (typeof token !== "string" || token === "") throw badRequest("spec.token is required");
    const found = this.#authentication.review(token, audiences.length > 0 ? audiences : [API_AUDIENCE]);
    if (found === undefined) return { user: {}, error: "[invalid bearer token, Token has been invalidated]" };
    return { authenticated: true, user: userInfo(found.user), audiences: found.audiences };
  }

  #access({ spec }: KubeObject, user: KubeUser): JsonObject {
    const attributes = member(spec, "resourceAttributes");
    const path = member(spec, "nonResourceAttributes", "path");
    const attribute = (name: string): string => text(member(attributes, name));
    const subresource = attribute("subresource");
    const allowed = this.#isAllowed({
      user,
      verb: text(member(spec, "nonResourceAttributes", "verb") ?? attribute("verb")),
      group: attribute("group"),
      resource: subresource === "" ? attribute("resource") : `${attribute("resource")}/${subresource}`,
      namespace: attribute("namespace") || undefined,
      name: attribute("name") || undefined,
      ...(typeof path === "string" ? { path } : {}),
    });
    return { allowed };
  }
}

/** `serviceaccounts/NAME/token`: a token of that account. */
export function tokenRequest(
  request: KubeObject,
  namespace: string,
  account: string,
  store: ObjectStore,
  authentication: Authentication,
): KubeObject {
  const found = store.get("/serviceaccounts", namespace, account);
  if (found === undefined) throw notFound("serviceaccounts", "", account);
  const expirationSeconds = Number(member(request["spec"], "expirationSeconds") ?? 3600);
  const podName = member(request["spec"], "boundObjectRef", "name");
  const pod = typeof podName === "string" ? store.get("/pods", namespace, podName) : undefined;
  if (typeof podName === "string" && pod === undefined) throw notFound("pods", "", podName);
  const token = authentication.issue({
    namespace,
    account,
    accountUid: found.metadata.uid!,
    audiences: stringsOf(member(request["spec"], "audiences")),
    expirationSeconds,
    ...(pod === undefined ? {} : { pod: { name: pod.metadata.name, uid: pod.metadata.uid! } }),
  });
  return {
    ...request,
    metadata: { ...request.metadata, name: account, namespace },
    status: { token, expirationTimestamp: new Date(Date.now() + expirationSeconds * 1000).toISOString() },
  };
}

function userInfo({ name, uid, groups, extra }: KubeUser): JsonObject {
  return { username: name, ...(uid === undefined ? {} : { uid }), groups, ...(extra === undefined ? {} : { extra }) };
}
