/** The sidecar's container in a pod. */
export const INJECTED_CONTAINER = "heddle-sidecar";
