import { uninjectStream } from "@heddle/inject";
import { type Command, UsageError } from "../command.ts";
import { printStream, readText, tellFaults } from "../injection.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle uninject -f FILE|- [OPTIONS]

Takes sidecars out of a stream of Kubernetes manifests and prints it as it was before heddle inject, byte for byte. What was
changed in it since stays; what was never injected does, too.

Options:
  -f FILE      the manifests, or - for standard input
  --diff       print what would change, as a unified diff
  -h, --help   print this

Ends with 0, with --diff 1 when something would change; 1 when a manifest is wrong, 2 when the command line is or a file cannot
be read.

Examples:
  heddle uninject -f injected.yaml > shop.yaml
  kubectl get deployment web -o yaml | heddle uninject -f - | kubectl replace -f -`;

export const uninject: Command = {
  name: "uninject",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: { file: { type: "string", short: "f", multiple: true }, diff: { type: "boolean" } },
    });
    const [path, another] = values.file ?? [];
    if (path === undefined) throw new UsageError("name a file with -f, for example -f shop.yaml, or -f -");
    if (another !== undefined) throw new UsageError("-f is given twice: the output is one stream, of one file");
    const [name, text] = readText(path);
    const restored = uninjectStream(name, text);
    if (!restored.ok) return tellFaults(restored.error, 1);
    return printStream(text, restored.value.text, values.diff === true, colourOf(process.stdout, process.env));
  },
};
