import { type Command, UsageError } from "./command.ts";
import type { ProgramName } from "./program.ts";
import { versionText } from "./version.ts";

/**
 * Each is loaded when it is asked for: all of them are half a second of CPU, which every pod would pay twice, for `capture` and for
 * `sidecar`.
 */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["up", async () => (await import("./commands/up.ts")).up],
  ["status", async () => (await import("./commands/status.ts")).status],
  ["check", async () => (await import("./commands/check.ts")).check],
  ["apply", async () => (await import("./commands/apply.ts")).apply],
  ["get", async () => (await import("./commands/get.ts")).get],
  ["diff", async () => (await import("./commands/diff.ts")).diff],
  ["delete", async () => (await import("./commands/delete.ts")).deleteCommand],
  ["watch", async () => (await import("./commands/watch.ts")).watch],
  ["token", async () => (await import("./commands/token.ts")).token],
  ["ca", async () => (await import("./commands/ca.ts")).ca],
  ["inject", async () => (await import("./commands/inject.ts")).inject],
  ["uninject", async () => (await import("./commands/uninject.ts")).uninject],
  ["wait", async () => (await import("./commands/wait.ts")).wait],
  ["install", async () => (await import("./commands/install.ts")).install],
  ["uninstall", async () => (await import("./commands/uninstall.ts")).uninstall],
  ["tag", async () => (await import("./commands/tag.ts")).tag],
  ["capture", async () => (await import("./commands/capture.ts")).capture],
  ["cni", async () => (await import("./commands/cni.ts")).cni],
  program("control-plane", "run the control plane: serves configuration over xDS to sidecars, Envoys and gRPC clients"),
  program("injector", "run Kubernetes' admission webhooks in a process of their own: sidecars into pods, checks"),
  program("sidecar", "run a sidecar from an Envoy bootstrap (-c FILE) or for a control plane (--control-plane)"),
] satisfies [string, () => Promise<Command>][]);

function program(name: ProgramName, summary: string): [string, () => Promise<Command>] {
  return [name, async () => (await import("./commands/run-program.ts")).runProgram(name, summary)];
}

process.exitCode = await main(process.argv.slice(2));

async function main([word, ...args]: readonly string[]): Promise<number> {
  if (word === undefined || word === "--help" || word === "-h" || word === "help") {
    const topic = await COMMANDS.get(args[0] ?? "")?.();
    if (topic?.help === "") return topic.run(["--help"]);
    console.log(topic?.help ?? (await overview()));
    return 0;
  }
  if (word === "--version" || word === "version") {
    console.log(versionText());
    return 0;
  }
  const command = await COMMANDS.get(word)?.();
  if (command === undefined) {
    console.error(`heddle: "${word}" is no command; there are ${[...COMMANDS.keys()].join(", ")}. See heddle --help.`);
    return 2;
  }
  if (command.help !== "" && args.some((arg) => arg === "--help" || arg === "-h")) {
    console.log(command.help);
    return 0;
  }
  try {
    return await command.run(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`heddle ${command.name}: ${error.message}\nSee heddle ${command.name} --help.`);
    return 2;
  }
}

async function overview(): Promise<string> {
  const commands = await Promise.all([...COMMANDS.values()].map((load) => load()));
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "heddle: a service mesh in TypeScript",
    "",
    "Usage: heddle COMMAND [OPTIONS]",
    "",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "heddle COMMAND --help tells of one command, heddle --version of this installation.",
    "Ends with 0 when all is well, 1 when something is wrong, 2 when the command line is.",
  ].join("\n");
}
