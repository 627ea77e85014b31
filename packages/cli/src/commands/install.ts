import { authoritySecret, installObjects, manifestText } from "@heddle/inject/install";
import { readAuthorityFrom } from "../authority-from.ts";
import { type Command, UsageError } from "../command.ts";
import { INSTALL_HELP, INSTALL_OPTIONS, readInstallSettings, tagWarning } from "../install-options.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle install [OPTIONS]

Prints the manifests that make a cluster a mesh: the namespace, the kinds of heddle.dev, the least rights that the control plane
needs, its Deployment, Service and PodDisruptionBudget, and the webhooks. Nothing is sent anywhere; docs/install.md tells
what each is for, and how to make the Secret of the authority.

The control plane's pods wait for the Secret of the authority (--ca-secret) in its namespace: all replicas sign with that one, and none makes
a root of its own. Who has not made it otherwise has it printed as well, with --authority-from.

Options:
${INSTALL_HELP}
  --authority-from FILES   CERTIFICATES,KEY[,ROOTS] in PEM, of an intermediate or a root: prints the Secret, private key and all
  -h, --help               print this

Example:
  heddle install --authority-from ca.crt,ca.key | kubectl apply --server-side -f -`;

export const install: Command = {
  name: "install",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: { ...INSTALL_OPTIONS, "authority-from": { type: "string" } },
    });
    const settings = readInstallSettings(values);
    if (!settings.ok) throw new UsageError(settings.error.join("\n"));
    for (const tag of settings.value.tags) {
      const warning = tagWarning(tag, settings.value.injection.revision);
      if (warning !== undefined) console.error(`heddle install: warning: ${warning}`);
    }
    const [namespace, ...others] = installObjects(settings.value);
    const { "authority-from": files } = values;
    const secrets =
      files === undefined
        ? []
        : [authoritySecret(settings.value, readAuthorityFrom(files, settings.value.injection.trustDomain))];
    process.stdout.write(manifestText([namespace!, ...secrets, ...others])); // the namespace is always first
    return 0;
  },
};
