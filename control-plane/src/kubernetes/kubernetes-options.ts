/** The cluster, as the command line asks for it. */
export interface KubernetesOptions {
  /** Undefined: the one in which this is a pod. */
  readonly kubeconfig: { readonly file: string; readonly context: string | undefined } | undefined;
  /** Whose objects are followed; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** With a kubeconfig, where the control plane's own things are: its Lease, its Service. Left out: `heddle-system`. */
  readonly systemNamespace?: string;
  /** Of the process: where a pod is told of its cluster. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Name of the Service in front of the control planes. */
export const CONTROL_PLANE_SERVICE = "heddle-control-plane";
/** Where the mesh's own things are, unless this pod is elsewhere. */
export const SYSTEM_NAMESPACE = "heddle-system";
