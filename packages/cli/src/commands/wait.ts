import { parseDurationMs, systemClock } from "@heddle/base";
import { type Command, UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle wait --ready|--idle [OPTIONS]

Waits for the sidecar of this pod: what the hooks of a sidecar that is a plain container run (docs/injection.md#plain-containers).

Options:
  --ready              until it serves
  --idle               until nobody has a connection through it
  --least DURATION     of --idle: not shorter, since others may not know yet that the pod is ending (5s)
  --timeout DURATION   not longer (--ready 300s, --idle 25s)
  --health HOST:PORT   its health port (127.0.0.1:15021)
  --admin HOST:PORT    its admin (127.0.0.1:15000)
  -h, --help           print this

Ends with 0 when it is so, 1 when it is not by then.`;

const EVERY_MS = 250;
/** So long an answer may take. */
const ANSWER_MS = 2000;

export const wait: Command = {
  name: "wait",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: {
        ready: { type: "boolean" },
        idle: { type: "boolean" },
        timeout: { type: "string" },
        least: { type: "string" },
        health: { type: "string" },
        admin: { type: "string" },
      },
    });
    const forReady = values.ready === true;
    if (forReady === (values.idle === true)) throw new UsageError("give --ready or --idle");
    const timeout = parseDurationMs(values.timeout ?? (forReady ? "300s" : "25s"));
    if (!timeout.ok) throw new UsageError(`--timeout: ${timeout.error}`);
    const least = parseDurationMs(values.least ?? "5s");
    if (!least.ok) throw new UsageError(`--least: ${least.error}`);
    const health = url("--health", values.health ?? "127.0.0.1:15021", "/healthz/ready");
    const admin = url("--admin", values.admin ?? "127.0.0.1:15000", "/stats?filter=downstream_cx_active$&format=json");
    const beganMs = systemClock.now();
    /** What is in the way still; undefined: nothing. */
    const look = async (): Promise<string | undefined> => {
      if (forReady) return whyNotReady(health);
      const open = await connections(admin);
      if (open !== 0) return open === undefined ? `${admin.host} says nothing of connections` : `${open} connections`;
      return systemClock.now() - beganMs >= least.value ? undefined : `less than ${least.value} ms have passed`;
    };
    for (let why = await look(); why !== undefined; why = await look()) {
      if (systemClock.now() - beganMs >= timeout.value) {
        const wanted = forReady ? "ready" : "idle";
        console.error(`heddle wait: the sidecar is not ${wanted} after ${timeout.value} ms: ${why}`);
        return 1;
      }
      await new Promise<void>((resolve) => void systemClock.after(EVERY_MS, resolve));
    }
    return 0;
  },
};

function url(flag: string, address: string, path: string): URL {
  const found = /^[^/@?#\s]+:\d{1,5}$/.test(address) ? URL.parse(`http://${address}${path}`) : null;
  if (found === null) throw new UsageError(`${flag}: found "${address}", allowed is HOST:PORT`);
  return found;
}

/** Undefined: it is. */
async function whyNotReady(health: URL): Promise<string | undefined> {
  try {
    const answer = await fetch(health, { signal: AbortSignal.timeout(ANSWER_MS) });
    await answer.body?.cancel();
    return answer.status === 200 ? undefined : `${health.href} answers ${answer.status}`;
  } catch (error) {
    const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    return `${health.href} does not answer (${code ?? message})`;
  }
}

/** Of the application and of its callers, through the sidecar's listeners. Undefined: nobody can say. 0 as well where the sidecar has ended. */
async function connections(admin: URL): Promise<number | undefined> {
  try {
    const answer = await fetch(admin, { signal: AbortSignal.timeout(ANSWER_MS) });
    const { stats } = (await answer.json()) as {
      readonly stats?: readonly { readonly name?: string; readonly value?: number }[];
    };
    return (stats ?? [])
      .filter(({ name }) => name?.startsWith("listener.") === true)
      .reduce((sum, { value = 0 }) => sum + value, 0);
  } catch (error) {
    return (error as { cause?: NodeJS.ErrnoException }).cause?.code === "ECONNREFUSED" ? 0 : undefined;
  }
}
