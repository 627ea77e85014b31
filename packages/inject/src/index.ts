export { APP_PROBES_VARIABLE, type AppProbe, type AppProbes } from "./app-probes.ts";
export { completePod } from "./complete-pod.ts";
export { type InjectionContext, injectPod, uninjectPod } from "./inject-pod.ts";
export { type InjectedStream, injectStream, type ObjectOutcome, uninjectStream } from "./inject-stream.ts";
export { formatFault, type InjectionFault } from "./injection-fault.ts";
export { DEFAULT_INJECTION_SETTINGS, type InjectionSettings, readInjectionSettings } from "./injection-settings.ts";
export {
  CA_ROOT_CONFIG_MAP,
  CAPTURE_CONTAINER,
  INJECT_KEY,
  INJECTED_CONTAINER,
  INJECTED_LABEL,
  REVISION_KEY,
  SIDECAR_PORTS,
  STATUS_ANNOTATION,
  TOKEN_AUDIENCE,
  VALIDATION_CONTAINER,
  WORKLOAD_ANNOTATION,
} from "./names.ts";
export { POD_ANNOTATIONS } from "./pod-annotations.ts";
export { DEFAULT_REVISION, type InjectionDecision, type InjectionQuestion, shouldInject } from "./should-inject.ts";
export {
  DEFAULT_WEBHOOK_SETTINGS,
  WEBHOOK_CONFIGURATION_PREFIX,
  WEBHOOK_REVISION_LABEL,
  WEBHOOK_TAG_LABEL,
  type WebhookSettings,
  webhookConfigurations,
} from "./webhook-configurations.ts";
export { workloadNameOf } from "./workload-name.ts";
