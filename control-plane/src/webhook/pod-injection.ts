import { err, isJsonObject, type JsonObject, type Live } from "@heddle/base";
import {
  CAPTURE_CONTAINER,
  completePod,
  formatFault,
  INJECTED_CONTAINER,
  type InjectionSettings,
  injectPod,
  shouldInject,
} from "@heddle/inject";
import type { PodInjection } from "./review-pod.ts";

/** What `heddle inject` does to manifests, done to pods. Settings that change are for the pods to come. */
export function podInjection(settings: Live<InjectionSettings>): PodInjection {
  return {
    capabilities: (pod) => ({
      [CAPTURE_CONTAINER]: ["NET_ADMIN", "NET_RAW"],
      [INJECTED_CONTAINER]: isTransparent(pod, settings.current) ? ["NET_ADMIN"] : [],
    }),
    decide: shouldInject,
    inject: (pod) => {
      const injected = injectPod(pod, settings.current);
      return injected.ok ? injected : err(injected.error.map(formatFault));
    },
    complete: (pod) => {
      const completed = completePod(pod, settings.current);
      return completed.ok ? completed : err(completed.error.map(formatFault));
    },
  };
}

/** By the annotation, else the settings: then its sidecar has transparent sockets. */
function isTransparent({ metadata }: JsonObject, { capture }: InjectionSettings): boolean {
  const annotations = isJsonObject(metadata) ? metadata["annotations"] : undefined;
  return ((isJsonObject(annotations) ? annotations["heddle.dev/capture"] : undefined) ?? capture) === "tproxy";
}
