import type { KubeUser } from "./authentication.ts";
import { type JsonObject, member, objectsOf, stringsOf, text } from "./kube-object.ts";
import type { ObjectStore } from "./object-store.ts";

/** What somebody wants to do. */
export interface Access {
  readonly user: KubeUser;
  readonly verb: string;
  readonly group: string;
  /** With its subresource: "pods/status". */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  /** Of what is no resource: "/healthz". */
  readonly path?: string;
}

/** One rule of a role that allows something, by where it stands. */
export interface RuleUse {
  readonly role: string;
  /** Of its rules, from 0. */
  readonly rule: number;
}

/** The built-in right of everyone to look at what the server is. */
const PUBLIC_PATHS = /^\/(healthz|livez|readyz|version|api|apis|openapi|\.well-known|openid)(\/|$)/;

/**
 * The rules of Role and ClusterRole objects that allow that (RBAC of Kubernetes); none: it is forbidden. Aggregated roles are not
 * known, nor the roles that Kubernetes itself brings, besides `system:masters` and `cluster-admin`.
 */
export function allowingRules(store: ObjectStore, access: Access): readonly RuleUse[] {
  if (access.user.groups.includes("system:masters")) return [{ role: "system:masters", rule: 0 }];
  if (access.path !== undefined && PUBLIC_PATHS.test(access.path)) return [{ role: "system:discovery", rule: 0 }];
  if (access.resource.startsWith("selfsubject")) return [{ role: "system:basic-user", rule: 0 }];
  return boundRoles(store, access).flatMap(({ role, rules }) =>
    rules.flatMap((rule, at) => (allows(rule, access) ? [{ role, rule: at }] : [])),
  );
}

interface BoundRole {
  readonly role: string;
  readonly rules: readonly JsonObject[];
}

const GROUP = "rbac.authorization.k8s.io";

function boundRoles(store: ObjectStore, { user, namespace }: Access): readonly BoundRole[] {
  const bindings = [
    ...store.list(`${GROUP}/clusterrolebindings`),
    ...(namespace === undefined ? [] : store.list(`${GROUP}/rolebindings`, namespace)),
  ];
  return bindings
    .filter((binding) => objectsOf(binding["subjects"]).some((subject) => isMeant(subject, user)))
    .map(({ roleRef }) => {
      const name = text(member(roleRef, "name"));
      const isClusterRole = member(roleRef, "kind") === "ClusterRole";
      if (isClusterRole && name === "cluster-admin") return { role: name, rules: [EVERYTHING] };
      const role = isClusterRole
        ? store.get(`${GROUP}/clusterroles`, undefined, name)
        : store.get(`${GROUP}/roles`, namespace, name);
      return { role: isClusterRole ? name : `${namespace}/${name}`, rules: objectsOf(role?.["rules"]) };
    });
}

const EVERYTHING: JsonObject = { apiGroups: ["*"], resources: ["*"], verbs: ["*"], nonResourceURLs: ["*"] };

function isMeant({ kind, name, namespace }: JsonObject, user: KubeUser): boolean {
  if (kind === "User") return name === user.name;
  if (kind === "Group") return user.groups.includes(text(name));
  return user.name === `system:serviceaccount:${text(namespace)}:${text(name)}`;
}

function allows(rule: JsonObject, { verb, group, resource, name, path }: Access): boolean {
  const has = (field: string, value: string): boolean => {
    const list = stringsOf(rule[field]);
    return list.includes("*") || list.includes(value);
  };
  if (!has("verbs", verb)) return false;
  if (path !== undefined)
    return stringsOf(rule["nonResourceURLs"]).some((url) =>
      url.endsWith("*") ? path.startsWith(url.slice(0, -1)) : url === path,
    );
  const subresource = resource.split("/")[1];
  const isNamed =
    has("resources", resource) ||
    (subresource !== undefined && stringsOf(rule["resources"]).includes(`*/${subresource}`));
  if (!has("apiGroups", group) || !isNamed) return false;
  const names = stringsOf(rule["resourceNames"]);
  return names.length === 0 || (name !== undefined && names.includes(name));
}
