import { createHash, randomBytes } from "node:crypto";
import type { Json } from "@heddle/base";
import { formatYaml } from "@heddle/config/yaml";
import { ROLES, type Role } from "@heddle/control-plane/resource-api";
import { type Command, UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle token new NAME [OPTIONS]

Makes a token for the resource API. Prints the token, which is kept nowhere, and the entry for the file that
heddle control-plane --api-tokens names, which has its hash alone.

Options:
  --role ROLE           read, write (default) or admin, who also sees secrets
  --group NAME          may write the resources for the nodes of that node.cluster alone; may be given more than once
  --namespace NAME      may write Services, HTTPRoutes, Workloads and policies of that namespace alone; likewise
  --json                both as JSON
  -h, --help            print this

Example:
  heddle token new ci --role write --group web`;

const WORDS = {
  allowPositionals: true,
  options: {
    role: { type: "string" },
    group: { type: "string", multiple: true },
    namespace: { type: "string", multiple: true },
    json: { type: "boolean" },
  },
} as const;

export const token: Command = {
  name: "token",
  summary: "make a token for the resource API",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, WORDS);
    const [verb, name, ...more] = positionals;
    if (verb !== "new" || name === undefined || more.length > 0) throw new UsageError("allowed: heddle token new NAME");
    if (!/^[\w.@/-]{1,100}$/.test(name))
      throw new UsageError(`found "${name}", allowed: letters, digits and . _ - @ /, at most 100`);
    const role = values.role ?? "write";
    if (!ROLES.includes(role as Role)) throw new UsageError(`--role: found "${role}", allowed: ${ROLES.join(", ")}`);
    const secret = `heddle_${randomBytes(32).toString("base64url")}`;
    const entry: Json = {
      name,
      sha256: createHash("sha256").update(secret).digest("hex"),
      role,
      ...(values.group && { groups: values.group }),
      ...(values.namespace && { namespaces: values.namespace }),
    };
    if (values.json === true) console.log(JSON.stringify({ token: secret, entry }, null, 2));
    else
      console.log(
        `# the token, for whoever uses it; it is shown this once\n${secret}\n\n# its entry in the file of --api-tokens\n${formatYaml([entry]).trimEnd()}`,
      );
    return 0;
  },
};
