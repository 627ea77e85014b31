import { err, ok, type Result } from "@heddle/base";
import { formatDiagnostic } from "@heddle/config/yaml";
import { readInjectionSettings } from "@heddle/inject";
import { DEFAULT_INSTALL_SETTINGS, type InstallSettings } from "@heddle/inject/install";
import { readText } from "./injection.ts";

export const INSTALL_OPTIONS = {
  settings: { type: "string" },
  namespace: { type: "string" },
  image: { type: "string" },
  revision: { type: "string" },
  tag: { type: "string", multiple: true },
  "trust-domain": { type: "string" },
  cni: { type: "boolean" },
  replicas: { type: "string" },
  store: { type: "string" },
  "ca-secret": { type: "string" },
} as const;

export const INSTALL_HELP = `  --settings FILE          how pods are injected: a map in YAML or JSON (docs/injection.md#settings)
  --namespace NAME         where the control plane runs (heddle-system); in place of what the settings say, as are
  --image IMAGE            of the control plane and of the sidecars (heddle/heddle:<version>)
  --revision NAME          a control plane beside others: pods and namespaces with heddle.dev/rev: NAME are its (default)
  --tag NAME               another name of that revision, which heddle.dev/rev may say; may be given more than once (heddle tag)
  --trust-domain NAME      (cluster.local)
  --cni                    a CNI plugin captures the traffic of pods: they need no init container
  --replicas N             of the control plane, 1 to 20 (2)
  --store PLACE            where it keeps what is put in with heddle apply: etcds://HOST:PORT[,HOST:PORT][/PREFIX] (nowhere)
  --ca-secret NAME         Secret with the authority's tls.crt and tls.key (heddle-ca)`;

type Values = { readonly [name in keyof typeof INSTALL_OPTIONS]?: string | boolean | string[] | undefined };

/** The flags over the settings over the defaults. On failure every reason. */
export function readInstallSettings(values: Values): Result<InstallSettings, readonly string[]> {
  const { namespace, revision } = values;
  let { injection } = DEFAULT_INSTALL_SETTINGS;
  const layers: (readonly [string, string])[] = [];
  if (typeof values.settings === "string") layers.push(readText(values.settings));
  layers.push([
    "the command line",
    JSON.stringify({
      namespace,
      revision,
      image: values.image,
      trustDomain: values["trust-domain"],
      ...(values.cni === true && { cni: true }),
    }),
  ]);
  for (const [name, content] of layers) {
    const read = readInjectionSettings(name, content, injection);
    if (!read.ok) return err(read.error.map(formatDiagnostic));
    injection = read.value;
  }
  // Where sidecars find it is where it is put, unless somebody has said otherwise.
  if (injection.controlPlane === DEFAULT_INSTALL_SETTINGS.injection.controlPlane) {
    const service =
      injection.revision === "default" ? "heddle-control-plane" : `heddle-control-plane-${injection.revision}`;
    injection = { ...injection, controlPlane: `${service}.${injection.namespace}.svc:15012` };
  }
  const faults: string[] = [];
  const replicas = Number(values.replicas ?? DEFAULT_INSTALL_SETTINGS.replicas);
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 20)
    faults.push(`--replicas: found "${String(values.replicas)}", allowed are 1 to 20`);
  const store = values.store;
  if (typeof store === "string" && !/^etcds?:\/\/[\w.:,[\]/-]+$/.test(store))
    faults.push(`--store: found "${store}", allowed is etcds://HOST:PORT[,HOST:PORT][/PREFIX]`);
  const caSecret = values["ca-secret"] ?? DEFAULT_INSTALL_SETTINGS.caSecret;
  if (typeof caSecret !== "string" || !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(caSecret))
    faults.push(`--ca-secret: found "${String(caSecret)}", allowed is a Secret's name`);
  const tags = Array.isArray(values.tag) ? [...new Set(values.tag)] : [];
  for (const tag of tags) {
    const fault = tagFault(tag, injection.revision);
    if (fault !== undefined) faults.push(`--tag: ${fault}`);
  }
  if (faults.length > 0) return err(faults);
  return ok({
    ...DEFAULT_INSTALL_SETTINGS,
    injection,
    tags,
    replicas,
    store: typeof store === "string" ? store : undefined,
    caSecret: String(caSecret),
  });
}

/** What is wrong with a tag of a revision; undefined: nothing. */
export function tagFault(tag: string, revision: string | undefined): string | undefined {
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(tag))
    return `found "${tag}", allowed are lower-case letters, digits and dashes, at most 63`;
  return tag === revision ? `"${tag}" is the name of the revision itself` : undefined;
}

/** What to say of a tag that is printed; undefined: nothing. We do not know what else there is in the cluster. */
export function tagWarning(tag: string, revision: string): string | undefined {
  if (tag !== "default") return undefined;
  return `the tag "default" gives what has no label heddle.dev/rev to revision "${revision}", but has no effect where a revision "default" is installed: that one is asked first`;
}
