/** Something in a pod for which it cannot be injected. All of a pod's are told at once. */
export interface InjectionFault {
  /** Of the pod: `metadata.annotations["heddle.dev/capture"]`. */
  readonly path: string;
  /** What was found and what is allowed. */
  readonly message: string;
}

/** `spec.containers[0].name: found …` */
export function formatFault({ path, message }: InjectionFault): string {
  return path === "" ? message : `${path}: ${message}`;
}

/** The path of an annotation. */
export function annotationPath(name: string): string {
  return `metadata.annotations[${JSON.stringify(name)}]`;
}
