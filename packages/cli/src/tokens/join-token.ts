import { type Clock, err, ok, parseDurationMs, type Result, systemClock } from "@heddle/base";
import { formatYaml } from "@heddle/config/yaml";
import { hashJoinToken, type JoinTokenAnswer, makeJoinToken } from "@heddle/control-plane/resource-api";
import { formatSpiffeId, parseSpiffeId } from "@heddle/identity";
import { UsageError } from "../command.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { reportFailure } from "../resources/report.ts";

const WORDS = {
  allowPositionals: true,
  options: {
    ...API_OPTIONS,
    namespace: { type: "string" },
    account: { type: "string" },
    ttl: { type: "string" },
    local: { type: "boolean" },
    "trust-domain": { type: "string" },
    json: { type: "boolean" },
  },
} as const;

/** An entry of the file behind `heddle control-plane --join-tokens`. */
export interface JoinTokenEntry {
  readonly sha256: string;
  readonly spiffeId: string;
  /** ISO 8601. */
  readonly expires: string;
}

/** `heddle token join`. */
export async function joinToken(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseCommandLine(args, WORDS);
  if (positionals.length > 0) throw new UsageError("allowed: heddle token join [OPTIONS]");
  const { namespace = "default", account = "default" } = values;
  const ttlMs = parseDurationMs(values.ttl ?? "1h");
  if (!ttlMs.ok) throw new UsageError(`--ttl: ${ttlMs.error}`);
  const ttlSeconds = Math.ceil(ttlMs.value / 1000);
  if (values.local === true) {
    const made = newJoinToken({
      trustDomain: values["trust-domain"] ?? "cluster.local",
      namespace,
      account,
      ttlSeconds,
    });
    if (!made.ok) throw new UsageError(made.error);
    const { token, entry } = made.value;
    if (values.json === true) console.log(JSON.stringify({ token, entry }, null, 2));
    else
      console.log(
        `# the token, for the workload; it is shown this once\n${token}\n\n# its entry in the file of --join-tokens\n${formatYaml([{ ...entry }]).trimEnd()}`,
      );
    return 0;
  }
  if (values["trust-domain"] !== undefined) throw new UsageError("--trust-domain: goes with --local");
  const answer = await apiClient(values, process.env).createJoinToken({ namespace, account, ttlSeconds });
  if (!answer.ok) return reportFailure(answer.error, colourOf(process.stderr, process.env));
  print(answer.value, values.json === true);
  return 0;
}

/** The token alone on standard output, so that it can go into a file. */
function print(answer: JoinTokenAnswer, asJson: boolean): void {
  if (asJson) {
    console.log(JSON.stringify(answer, null, 2));
    return;
  }
  console.error(`for ${answer.spiffeId}, to be used once until ${answer.expires}; it is shown this once`);
  console.log(answer.token);
}

/** A new token and its entry. The error says what is wrong with the names. */
export function newJoinToken(
  of: {
    readonly trustDomain: string;
    readonly namespace: string;
    readonly account: string;
    readonly ttlSeconds: number;
  },
  clock: Clock = systemClock,
): Result<{ readonly token: string; readonly entry: JoinTokenEntry }, string> {
  const id = parseSpiffeId(`spiffe://${of.trustDomain}/ns/${of.namespace}/sa/${of.account}`);
  if (!id.ok) return err(`the SPIFFE ID ${id.error}`);
  // A slash in a name would make another identity of it.
  if (id.value.path.split("/").length !== 5) return err("a namespace and an account have no slash");
  const token = makeJoinToken();
  const expires = new Date(clock.wallNow() + of.ttlSeconds * 1000).toISOString();
  // It is one of ours.
  return ok({ token, entry: { sha256: hashJoinToken(token)!, spiffeId: formatSpiffeId(id.value), expires } });
}
