import type { JsonObject } from "@heddle/base";

/* What the control plane's account may do, and no more: each rule with what needs it. */

const READ = ["get", "list", "watch"];
const WEBHOOKS = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const ROUTES = ["httproutes", "grpcroutes", "tlsroutes", "tcproutes"];
const OUR_KINDS = [
  "workloads",
  "peerauthentications",
  "authorizationpolicies",
  "extensionproviders",
  "requestauthentications",
];

function rule(
  apiGroup: string,
  resources: readonly string[],
  verbs: readonly string[],
  names?: readonly string[],
): JsonObject {
  return { apiGroups: [apiGroup], resources, verbs, ...(names !== undefined && { resourceNames: names }) };
}

/** In the whole cluster. `webhooks`: names of its own webhook configurations. */
export function clusterRules(webhooks: readonly string[]): readonly JsonObject[] {
  return [
    // What the mesh is made of. Secrets are not among it.
    rule("", ["services", "pods", "namespaces", "nodes"], READ),
    rule("discovery.k8s.io", ["endpointslices"], READ),
    rule("gateway.networking.k8s.io", [...ROUTES, "referencegrants"], READ),
    rule("heddle.dev", OUR_KINDS, READ),
    // What became of it.
    rule(
      "gateway.networking.k8s.io",
      ROUTES.map((kind) => `${kind}/status`),
      ["patch"],
    ),
    rule(
      "heddle.dev",
      OUR_KINDS.map((kind) => `${kind}/status`),
      ["patch"],
    ),
    // Whether a kind that is not served will be.
    rule(
      "apiextensions.k8s.io",
      ["customresourcedefinitions"],
      ["get"],
      [
        ...[...ROUTES, "referencegrants"].map((kind) => `${kind}.gateway.networking.k8s.io`),
        ...OUR_KINDS.map((kind) => `${kind}.heddle.dev`),
      ],
    ),
    // The mesh's root in each namespace, for pods to mount. What is made cannot be bound by its name.
    rule("", ["configmaps"], ["create"]),
    rule("", ["configmaps"], [...READ, "patch"], ["heddle-ca-root"]),
    // Whose a sidecar's token is.
    rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
    // Its own authority's roots, in the webhook configurations that ask it.
    rule("admissionregistration.k8s.io", WEBHOOKS, READ),
    bundleRule(WEBHOOKS, webhooks),
  ];
}

/** To write `caBundle` of webhook configurations of these names. */
export function bundleRule(resources: readonly string[], names: readonly string[]): JsonObject {
  return rule("admissionregistration.k8s.io", resources, ["patch"], names);
}

/** In the control plane's own namespace: which replica writes, to the mesh and to the webhooks of a revision. */
export function ownRules(revision: string): readonly JsonObject[] {
  return [
    rule("coordination.k8s.io", ["leases"], ["create"]),
    rule("coordination.k8s.io", ["leases"], ["get", "update"], ["heddle-control-plane", `heddle-webhooks-${revision}`]),
  ];
}
