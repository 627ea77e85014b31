import { type Command, UsageError } from "./command.ts";
import { apply } from "./commands/apply.ts";
import { ca } from "./commands/ca.ts";
import { capture } from "./commands/capture.ts";
import { check } from "./commands/check.ts";
import { cni } from "./commands/cni.ts";
import { deleteCommand } from "./commands/delete.ts";
import { diff } from "./commands/diff.ts";
import { get } from "./commands/get.ts";
import { inject } from "./commands/inject.ts";
import { install } from "./commands/install.ts";
import { runProgram } from "./commands/run-program.ts";
import { status } from "./commands/status.ts";
import { token } from "./commands/token.ts";
import { uninject } from "./commands/uninject.ts";
import { uninstall } from "./commands/uninstall.ts";
import { up } from "./commands/up.ts";
import { wait } from "./commands/wait.ts";
import { watch } from "./commands/watch.ts";
import { versionText } from "./version.ts";

const COMMANDS: readonly Command[] = [
  up,
  status,
  check,
  apply,
  get,
  diff,
  deleteCommand,
  watch,
  token,
  ca,
  inject,
  uninject,
  wait,
  install,
  uninstall,
  capture,
  cni,
  runProgram(
    "control-plane",
    "run the control plane: serves configuration over xDS to sidecars, Envoys and gRPC clients",
  ),
  runProgram("injector", "run Kubernetes' admission webhooks in a process of their own: sidecars into pods, checks"),
  runProgram("sidecar", "run a sidecar from an Envoy bootstrap (-c FILE) or for a control plane (--control-plane)"),
];

process.exitCode = await main(process.argv.slice(2));

async function main([word, ...args]: readonly string[]): Promise<number> {
  if (word === undefined || word === "--help" || word === "-h" || word === "help") {
    const topic = COMMANDS.find(({ name }) => name === args[0]);
    if (topic?.help === "") return topic.run(["--help"]);
    console.log(topic?.help ?? overview());
    return 0;
  }
  if (word === "--version" || word === "version") {
    console.log(versionText());
    return 0;
  }
  const command = COMMANDS.find(({ name }) => name === word);
  if (command === undefined) {
    console.error(
      `heddle: "${word}" is no command; there are ${COMMANDS.map(({ name }) => name).join(", ")}. See heddle --help.`,
    );
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

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    "heddle: a service mesh in TypeScript",
    "",
    "Usage: heddle COMMAND [OPTIONS]",
    "",
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "heddle COMMAND --help tells of one command, heddle --version of this installation.",
    "Ends with 0 when all is well, 1 when something is wrong, 2 when the command line is.",
  ].join("\n");
}
