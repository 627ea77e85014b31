import { type Command, UsageError } from "../command.ts";
import { INSTALL_HELP, INSTALL_OPTIONS, readInstallSettings } from "../install-options.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle install [OPTIONS]

Prints the manifests that make a cluster a mesh: the namespace, the kinds of heddle.dev, the least rights that the control plane
needs, its Deployment, Service and PodDisruptionBudget, and the webhooks. Nothing is sent anywhere; docs/install.md tells
what each is for, and how to make the Secret of the authority.

Options:
${INSTALL_HELP}
  -h, --help               print this

Example:
  heddle install | kubectl apply --server-side -f -`;

export const install: Command = {
  name: "install",
  summary: "print the manifests that install the mesh in a Kubernetes cluster",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, { options: INSTALL_OPTIONS });
    const settings = await readInstallSettings(values);
    if (!settings.ok) throw new UsageError(settings.error.join("\n"));
    const { installObjects, manifestText } = await import("@heddle/inject/install");
    process.stdout.write(manifestText(installObjects(settings.value)));
    return 0;
  },
};
