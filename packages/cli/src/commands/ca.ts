import { ADMIN_OPTIONS, adminUrl, HOW_TO_NAME_ADMIN } from "../admin-url.ts";
import { type Command, UsageError } from "../command.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_HELP, API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { EXIT_HELP, reportFailure } from "../resources/report.ts";

const help = `Usage: heddle ca status [OPTIONS]
       heddle ca bundle [--format pem|spiffe] [OPTIONS]
       heddle ca rotate [--next-step] [OPTIONS]

The mesh's certificate authority (heddle control-plane --trust-domain).

status: its roots, the state of a rotation, the trust domains that it trusts; as JSON.
bundle: what clients are to trust, for heddle sidecar --ca-bundle; PEM, or the SPIFFE bundle format.
rotate: begins to replace the root. A new one is published for as long as certificates live, then it signs, and when all that
the old one has signed has ended that leaves the bundle. Nothing is cut.

Options of status and bundle:
  --admin-port N     the control plane's admin on loopback (15014)
  --admin URL        the same elsewhere; also HEDDLE_CONTROL_PLANE_ADMIN

Options of rotate:
  --next-step        take the step that is waited for now. Whoever has not heard of the new root, or still shows a certificate
                     of the old one, is cut off
${API_HELP}
  -h, --help         print this

${EXIT_HELP}`;

const WORDS = {
  allowPositionals: true,
  options: {
    ...API_OPTIONS,
    ...ADMIN_OPTIONS,
    format: { type: "string" },
    "next-step": { type: "boolean" },
  },
} as const;

export const ca: Command = {
  name: "ca",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, WORDS);
    const [verb, ...more] = positionals;
    if (more.length > 0) throw new UsageError("allowed: heddle ca status, heddle ca bundle, heddle ca rotate");
    const admin = adminUrl(values, process.env);
    if (verb === "status") return printPage(admin, "/ca", /^\{/);
    if (verb === "bundle") {
      const format = values.format ?? "pem";
      if (format !== "pem" && format !== "spiffe")
        throw new UsageError(`--format: found "${format}", allowed: pem, spiffe`);
      return printPage(admin, `/ca/bundle?format=${format}`, format === "pem" ? /^-----BEGIN CERTIFICATE-----/ : /^\{/);
    }
    if (verb !== "rotate") throw new UsageError("allowed: heddle ca status, heddle ca bundle, heddle ca rotate");
    const answer = await apiClient(values, process.env).rotateRoot(values["next-step"] === true ? "next" : "begin");
    if (!answer.ok) return reportFailure(answer.error, colourOf(process.stderr, process.env));
    console.log(JSON.stringify(answer.value, null, 2));
    return 0;
  },
};

/** @param beginning how the page begins; what begins otherwise is somebody else's, and is not printed: people redirect it into files. */
async function printPage(admin: string, path: string, beginning: RegExp): Promise<number> {
  try {
    const response = await fetch(`${admin}${path}`);
    const text = await response.text();
    if (response.ok && beginning.test(text)) {
      process.stdout.write(text);
      return 0;
    }
    if (response.ok) {
      console.error(`what answers at ${admin} is no control plane's admin; ${HOW_TO_NAME_ADMIN}`);
      return 2;
    }
    if (response.status === 404) console.error("this control plane is no certificate authority (--trust-domain)");
    else console.error(text.trimEnd());
    return 1;
  } catch (error) {
    const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    console.error(`no control plane answers at ${admin} (${code ?? message}); ${HOW_TO_NAME_ADMIN}`);
    return 2;
  }
}
