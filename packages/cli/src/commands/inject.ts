import { DEFAULT_INJECTION_SETTINGS, injectStream, readInjectionSettings } from "@heddle/inject";
import { type Command, UsageError } from "../command.ts";
import { printStream, readText, tellFaults } from "../injection.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle inject -f FILE|- [OPTIONS]

Puts a sidecar into every pod of a stream of Kubernetes manifests, YAML or JSON, and prints the stream: Pod, Deployment,
StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob, PodTemplate, and lists of them. Anything else, and every
comment, stays as it is, byte for byte. A pod that has a sidecar gets today's. heddle uninject gives back what there was.
Left alone: pods with heddle.dev/inject: "false", of another revision, of the node's network, and of kube-system. See
docs/injection.md for the annotations of a pod.

Options:
  -f FILE              the manifests, or - for standard input
  --settings FILE      how: a map in YAML or JSON (docs/injection.md#settings)
  --image IMAGE        in place of what the settings say; so are
  --revision NAME
  --control-plane HOST:PORT
  --cni                a CNI plugin captures: no init container does
  --plain-container    the sidecar is no native one (for Kubernetes before 1.29)
  --diff               print what would change, as a unified diff
  -h, --help           print this

What is not injected is told on standard error. Ends with 0, with --diff 1 when something would change; 1 when a manifest is
wrong, 2 when the command line is or a file cannot be read.

Examples:
  heddle inject -f shop.yaml | kubectl apply -f -
  kubectl get deployment web -o yaml | heddle inject -f - | kubectl apply -f -`;

export const inject: Command = {
  name: "inject",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: {
        file: { type: "string", short: "f", multiple: true },
        settings: { type: "string" },
        image: { type: "string" },
        revision: { type: "string" },
        "control-plane": { type: "string" },
        cni: { type: "boolean" },
        "plain-container": { type: "boolean" },
        diff: { type: "boolean" },
      },
    });
    const [path, another] = values.file ?? [];
    if (path === undefined) throw new UsageError("name a file with -f, for example -f shop.yaml, or -f -");
    if (another !== undefined) throw new UsageError("-f is given twice: the output is one stream, of one file");
    let settings = DEFAULT_INJECTION_SETTINGS;
    const layers: (readonly [name: string, content: string])[] = [];
    if (values.settings !== undefined) layers.push(readText(values.settings));
    layers.push([
      "the command line",
      JSON.stringify({
        ...(values.image !== undefined && { image: values.image }),
        ...(values.revision !== undefined && { revision: values.revision }),
        ...(values["control-plane"] !== undefined && { controlPlane: values["control-plane"] }),
        ...(values.cni === true && { cni: true }),
        ...(values["plain-container"] === true && { nativeSidecar: false }),
      }),
    ]);
    for (const [name, content] of layers) {
      const read = readInjectionSettings(name, content, settings);
      if (!read.ok) return tellFaults(read.error, 2);
      settings = read.value;
    }
    const [name, text] = readText(path);
    const injected = injectStream(name, text, settings);
    if (!injected.ok) return tellFaults(injected.error, 1);
    for (const one of injected.value.outcomes)
      if (!one.injected)
        console.error(
          `${one.kind} ${one.namespace === undefined ? "" : `${one.namespace}/`}${one.name} is not injected: ${one.reason}`,
        );
    return printStream(text, injected.value.text, values.diff === true, colourOf(process.stdout, process.env));
  },
};
