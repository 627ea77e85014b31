import { DEFAULT_INJECTION_SETTINGS, type InjectionSettings } from "../injection-settings.ts";

/** How `heddle install` puts a control plane into a cluster. */
export interface InstallSettings {
  /** How its webhook injects; namespace, image, revision and trust domain are the control plane's too. */
  readonly injection: InjectionSettings;
  /** Other names of its revision, which `heddle.dev/rev` may say. */
  readonly tags: readonly string[];
  readonly replicas: number;
  /** Where several control planes keep what is put in with `heddle apply`: `etcds://HOST:PORT[,HOST:PORT][/PREFIX]`. Undefined: nowhere. */
  readonly store: string | undefined;
  /** Secret of the control plane's namespace: `tls.crt` and `tls.key` of the authority that signs workloads' certificates. */
  readonly caSecret: string;
  /** Where the CNI plugins of a node and their configuration lie. */
  readonly cniBinDir: string;
  readonly cniConfDir: string;
}

export const DEFAULT_INSTALL_SETTINGS: InstallSettings = {
  injection: DEFAULT_INJECTION_SETTINGS,
  tags: [],
  replicas: 2,
  store: undefined,
  caSecret: "heddle-ca",
  cniBinDir: "/opt/cni/bin",
  cniConfDir: "/etc/cni/net.d",
};
