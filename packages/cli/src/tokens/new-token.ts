import { createHash, randomBytes } from "node:crypto";
import type { Json } from "@heddle/base";
import { formatYaml } from "@heddle/config/yaml";
import { ROLES, type Role } from "@heddle/control-plane/resource-api";
import { UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const WORDS = {
  allowPositionals: true,
  options: {
    role: { type: "string" },
    group: { type: "string", multiple: true },
    namespace: { type: "string", multiple: true },
    json: { type: "boolean" },
  },
} as const;

/** `heddle token new`. */
export async function newToken(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseCommandLine(args, WORDS);
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) throw new UsageError("allowed: heddle token new NAME");
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
}
