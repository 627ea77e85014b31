import type { Json } from "@heddle/base";

/** The names that an injected pod carries. `heddle cni`, the webhooks and the Kubernetes source know a pod by them. */

/** The sidecar's container in a pod. */
export const INJECTED_CONTAINER = "heddle-sidecar";
/** The init container that sets the rules of capture, where no CNI plugin does. */
export const CAPTURE_CONTAINER = "heddle-capture";

/** The init container that waits for those rules, where a CNI plugin sets them. */
export const VALIDATION_CONTAINER = "heddle-validation";

/** No container that injection does not add may have one of these names: by them is known who may have which rights. */
export const OWN_CONTAINERS: ReadonlySet<Json | undefined> = new Set([
  INJECTED_CONTAINER,
  CAPTURE_CONTAINER,
  VALIDATION_CONTAINER,
]);

/** Before every label and annotation of Heddle. */
export const HEDDLE_PREFIX = "heddle.dev/";

/** Of a namespace "enabled" or "disabled"; of a pod, label or annotation, "true" or "false". */
export const INJECT_KEY = "heddle.dev/inject";
/** Which control plane injects: the revision's name, of a namespace or a pod. */
export const REVISION_KEY = "heddle.dev/rev";
/** Label of a pod that has a sidecar: "true". */
export const INJECTED_LABEL = "heddle.dev/injected";
/** Annotation of a pod that has a sidecar: what injection did, in JSON. */
export const STATUS_ANNOTATION = "heddle.dev/status";
/** Annotation: the workload's name, in place of the one that its owner gives. */
export const WORKLOAD_ANNOTATION = "heddle.dev/workload";

/** Annotation: a part of a pod's spec that is merged over what injection adds. */
export const TEMPLATE_ANNOTATION = "heddle.dev/template";

/** Ports of the sidecar in a pod that are not for the application's traffic, and never captured. */
export const SIDECAR_PORTS = { admin: 15_000, metrics: 15_020, health: 15_021 } as const;

/** In each namespace: holds `root.pem`, by which the control plane is known. Its leader keeps it there. */
export const CA_ROOT_CONFIG_MAP = "heddle-ca-root";
/** Whom the projected token is for: no other service accepts it. */
export const TOKEN_AUDIENCE = "heddle";
