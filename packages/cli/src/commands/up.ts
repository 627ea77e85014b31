import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { systemClock } from "@heddle/base";
import { type Command, UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { runMesh } from "../up/run-mesh.ts";

const help = `Usage: heddle up DIR [OPTIONS]

Runs a mesh on this machine: a control plane that follows the configuration files in DIR, and, for each Process in
them, the application and a sidecar beside it. Saving a file puts it in force at once. Ctrl-C ends everything.

Options:
  --check              start, send requests through every service, print what was seen, end with 0 or 1
  --log                show what the programs and the applications print
  --xds-port N         where the control plane serves xDS on loopback (15010; another free port where that is taken)
  --admin-port N       the control plane's admin on loopback (15014; likewise)
  --api-port N         where resources can be put (heddle apply) on loopback (15016; likewise)
  --tls-port N         where it serves xDS over TLS, with certificates (15012; likewise)
  --no-identity        no certificates: plaintext between the sidecars
  --any-port           take free ports for everything, also where the configuration wishes one
  --json               print the table as one line of JSON
  -h, --help           print this

Example:
  heddle up examples/shop`;

const WORDS = {
  allowPositionals: true,
  options: {
    check: { type: "boolean" },
    log: { type: "boolean" },
    json: { type: "boolean" },
    "any-port": { type: "boolean" },
    "xds-port": { type: "string" },
    "admin-port": { type: "string" },
    "api-port": { type: "string" },
    "tls-port": { type: "string" },
    "no-identity": { type: "boolean" },
    inner: { type: "boolean" }, // not for people: this is the inner process
  },
} as const;

/**
 * `heddle up` is two processes. The outer one has the terminal and does nothing but watch; the inner one, in a process
 * group of its own, runs the mesh. When the outer one dies, even of SIGKILL, the inner one sees its stdin end and stops
 * everything; when the inner one dies, the outer one ends the whole group. So nothing is left behind either way.
 */
export const up: Command = {
  name: "up",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, WORDS);
    const [folder, ...more] = positionals;
    if (folder === undefined || more.length > 0) throw new UsageError("name one folder, for example examples/shop");
    if (!existsSync(folder) || !statSync(folder).isDirectory()) throw new UsageError(`"${folder}" is not a folder`);
    if (values.inner !== true) return watchOver(args);
    const code = await runMesh({
      folder,
      check: values.check === true,
      showLogs: values.log === true,
      json: values.json === true,
      anyPort: values["any-port"] === true,
      xdsPort: portOf(values["xds-port"], "--xds-port") ?? 15_010,
      adminPort: portOf(values["admin-port"], "--admin-port") ?? 15_014,
      identity: values["no-identity"] !== true,
      tlsPort: portOf(values["tls-port"], "--tls-port") ?? 15_012,
      apiPort: portOf(values["api-port"], "--api-port") ?? 15_016,
      print: (line) => console.log(line),
      clock: systemClock,
      stop: stopSignal(),
    });
    // The pipe on stdin would hold the process; everything that the mesh owned has ended.
    process.exit(code);
  },
};

function portOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new UsageError(`${flag}: found "${text}", allowed are 1 to 65535`);
  return port;
}

async function watchOver(args: readonly string[]): Promise<number> {
  const inner = spawn(process.execPath, [...process.execArgv, process.argv[1]!, "up", "--inner", ...args], {
    stdio: ["pipe", "inherit", "inherit"],
    detached: true,
  });
  const stop = (): void => {
    inner.stdin.end();
  };
  inner.stdin.on("error", () => {}); // EPIPE when the inner process is already gone
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  const parent = process.ppid;
  // Under npm this process must end with it; elsewhere (nohup, a daemon's start script) losing the parent is ordinary.
  const orphaned =
    process.env["npm_lifecycle_event"] === undefined ? undefined : every(500, () => process.ppid !== parent && stop());
  const code = await new Promise<number>((resolve) => {
    inner.once("error", () => resolve(1));
    inner.once("exit", (exitCode) => resolve(exitCode ?? 1));
  });
  orphaned?.cancel();
  endGroup(inner.pid);
  return code;
}

/** What the inner process has left in its group, which is nothing unless it died of SIGKILL. */
function endGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // ESRCH: the group is empty, as it should be
  }
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    process.stdin.resume();
    process.stdin.once("end", () => resolve("the terminal's process has ended"));
    process.stdin.once("error", () => resolve("the terminal's process has ended"));
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve(signal));
  });
}

function every(ms: number, callback: () => void): { cancel(): void } {
  let timer = systemClock.after(ms, tick, true);
  function tick(): void {
    callback();
    timer = systemClock.after(ms, tick, true);
  }
  return { cancel: () => timer.cancel() };
}
