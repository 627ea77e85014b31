import { err, type Live } from "@heddle/base";
import { CAPTURE_CONTAINER, formatFault, type InjectionSettings, injectPod, shouldInject } from "@heddle/inject";
import type { PodInjection } from "./review-pod.ts";

/** What `heddle inject` does to manifests, done to pods. Settings that change are for the pods to come. */
export function podInjection(settings: Live<InjectionSettings>): PodInjection {
  return {
    captureContainer: CAPTURE_CONTAINER,
    decide: shouldInject,
    inject: (pod) => {
      const injected = injectPod(pod, settings.current);
      return injected.ok ? injected : err(injected.error.map(formatFault));
    },
  };
}
