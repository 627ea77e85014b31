import { manifestText, namesToDelete, tagObjects } from "@heddle/inject/install";
import { type Command, UsageError } from "../command.ts";
import { tagFault, tagWarning } from "../install-options.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle tag set NAME --revision NAME [OPTIONS] | kubectl apply --server-side -f -
       heddle tag remove NAME | kubectl delete --ignore-not-found -f -

Prints a tag: another name of a revision, for pods and namespaces to have in the label heddle.dev/rev. Set once more for another
revision, it moves, and pods that are made from then on get that one's sidecar. Nothing is sent anywhere.

Options:
  --revision NAME      which control plane injects (default)
  --namespace NAME     where it is (heddle-system)
  -h, --help           print this

Example:
  heddle tag set prod --revision v2 | kubectl apply --server-side -f -
  kubectl label namespace shop heddle.dev/rev=prod`;

const OPTIONS = { revision: { type: "string" }, namespace: { type: "string" } } as const;
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const tag: Command = {
  name: "tag",
  help,
  async run([verb, ...args]) {
    if (verb !== "set" && verb !== "remove")
      throw new UsageError("allowed: heddle tag set NAME, heddle tag remove NAME");
    const { values, positionals } = parseCommandLine(args, { options: OPTIONS, allowPositionals: true });
    const [name, ...more] = positionals;
    if (name === undefined || more.length > 0) throw new UsageError(`heddle tag ${verb} takes one name`);
    const { revision = "default", namespace = "heddle-system" } = values;
    const faults = [
      tagFault(name, verb === "set" ? revision : undefined),
      ...Object.entries({ revision, namespace }).map(([flag, value]) =>
        NAME.test(value)
          ? undefined
          : `--${flag}: found "${value}", allowed are lower-case letters, digits and dashes, at most 63`,
      ),
    ].filter((fault) => fault !== undefined);
    if (faults.length > 0) throw new UsageError(faults.join("\n"));
    const warning = verb === "set" ? tagWarning(name, revision) : undefined;
    if (warning !== undefined) console.error(`heddle tag: warning: ${warning}`);
    const objects = tagObjects({ tag: name, revision, namespace });
    process.stdout.write(manifestText(verb === "set" ? objects : namesToDelete(objects)));
    return 0;
  },
};
