import { manifestText, uninstallObjects } from "@heddle/inject/install";
import { type Command, UsageError } from "../command.ts";
import { INSTALL_OPTIONS, readInstallSettings } from "../install-options.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle uninstall [OPTIONS] | kubectl delete --ignore-not-found -f -

Prints what heddle install has made, in the order in which it is to be deleted: the webhooks first, so that pods are made again
when nobody answers. The namespace, and the kinds of heddle.dev with every object of them, stay unless --all is given.

Options:
  --namespace NAME     where the control plane is (heddle-system)
  --revision NAME      of which one (default)
  --tag NAME           another name of it, which goes too; may be given more than once. Pods that have the name are not made as long
                       as it leads to a revision that is gone
  --all                the namespace and the kinds as well
  -h, --help           print this`;

export const uninstall: Command = {
  name: "uninstall",
  help,
  async run(args) {
    const { namespace, revision, tag } = INSTALL_OPTIONS;
    const { values } = parseCommandLine(args, { options: { namespace, revision, tag, all: { type: "boolean" } } });
    const settings = readInstallSettings(values);
    if (!settings.ok) throw new UsageError(settings.error.join("\n"));
    process.stdout.write(manifestText(uninstallObjects(settings.value, values.all === true)));
    return 0;
  },
};
