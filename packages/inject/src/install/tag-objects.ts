import type { Json, JsonObject } from "@heddle/base";
import { DEFAULT_WEBHOOK_SETTINGS, WEBHOOK_TAG_LABEL, webhookConfigurations } from "../webhook-configurations.ts";
import { bundleRule } from "./access-rules.ts";
import { CONTROL_PLANE_ACCOUNT, controlPlaneName } from "./control-plane-names.ts";

const RBAC = "rbac.authorization.k8s.io";

/**
 * A tag: another name of a revision, which pods and namespaces keep in `heddle.dev/rev` while the revision behind it changes. Applied
 * again with another revision, it moves: all revisions' control planes have one account, which each tag lets write its `caBundle`.
 */
export function tagObjects({
  tag,
  revision,
  namespace,
}: {
  readonly tag: string;
  readonly revision: string;
  readonly namespace: string;
}): readonly JsonObject[] {
  const service = controlPlaneName(revision);
  const webhooks = webhookConfigurations({ ...DEFAULT_WEBHOOK_SETTINGS, revision, tag, namespace, service });
  const name = `heddle-tag-${tag}`;
  const metadata = {
    name,
    labels: {
      "app.kubernetes.io/part-of": "heddle",
      "app.kubernetes.io/managed-by": "heddle",
      [WEBHOOK_TAG_LABEL]: tag,
    },
  };
  return [
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRole",
      metadata,
      rules: [bundleRule(["mutatingwebhookconfigurations"], webhooks.map(nameOf))],
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRoleBinding",
      metadata,
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", name: CONTROL_PLANE_ACCOUNT, namespace }],
    },
    ...webhooks,
  ];
}

function nameOf({ metadata }: JsonObject): string {
  return (metadata as Readonly<Record<string, Json>>)["name"] as string;
}
