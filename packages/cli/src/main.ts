import { type Command, UsageError } from "./command.ts";
import type { ProgramName } from "./program.ts";
import { versionText } from "./version.ts";

interface Entry {
  /** One line for the list of commands. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/**
 * Each is loaded when it is asked for, with all that it needs: all of them are half a second of CPU, which every pod would pay twice,
 * for `capture` and for `sidecar`.
 */
const COMMANDS: ReadonlyMap<string, Entry> = new Map([
  [
    "up",
    {
      summary: "run a mesh on this machine from a folder of configuration, and follow its changes",
      load: async () => (await import("./commands/up.ts")).up,
    },
  ],
  [
    "status",
    {
      summary: "who is connected, what each node accepted or refused, and what is wrong",
      load: async () => (await import("./commands/status.ts")).status,
    },
  ],
  [
    "check",
    {
      summary: "say everything that is wrong with configuration files, offline",
      load: async () => (await import("./commands/check.ts")).check,
    },
  ],
  [
    "apply",
    {
      summary: "put resources into the control plane: checked first, all of them or none",
      load: async () => (await import("./commands/apply.ts")).apply,
    },
  ],
  [
    "get",
    {
      summary: "show what has been put into the control plane",
      load: async () => (await import("./commands/get.ts")).get,
    },
  ],
  [
    "diff",
    { summary: "say what applying files would change", load: async () => (await import("./commands/diff.ts")).diff },
  ],
  [
    "delete",
    {
      summary: "take resources out of the control plane",
      load: async () => (await import("./commands/delete.ts")).deleteCommand,
    },
  ],
  [
    "watch",
    {
      summary: "follow what is put into the control plane",
      load: async () => (await import("./commands/watch.ts")).watch,
    },
  ],
  [
    "token",
    {
      summary: "make a token for the resource API, or one to join the mesh with",
      load: async () => (await import("./commands/token.ts")).token,
    },
  ],
  [
    "ca",
    {
      summary: "look at the mesh's certificate authority, or replace its root",
      load: async () => (await import("./commands/ca.ts")).ca,
    },
  ],
  [
    "inject",
    {
      summary: "put a sidecar into the pods of Kubernetes manifests",
      load: async () => (await import("./commands/inject.ts")).inject,
    },
  ],
  [
    "uninject",
    {
      summary: "take sidecars out of Kubernetes manifests",
      load: async () => (await import("./commands/uninject.ts")).uninject,
    },
  ],
  [
    "wait",
    {
      summary: "wait until the sidecar of this pod is ready, or has nothing under way",
      load: async () => (await import("./commands/wait.ts")).wait,
    },
  ],
  [
    "install",
    {
      summary: "print the manifests that install the mesh in a Kubernetes cluster",
      load: async () => (await import("./commands/install.ts")).install,
    },
  ],
  [
    "uninstall",
    {
      summary: "print what is to be deleted to take the mesh out of a cluster",
      load: async () => (await import("./commands/uninstall.ts")).uninstall,
    },
  ],
  [
    "tag",
    {
      summary: "print another name of a revision, or what is to be deleted of it",
      load: async () => (await import("./commands/tag.ts")).tag,
    },
  ],
  [
    "capture",
    {
      summary: "set the rules by which a pod's traffic meets its sidecar",
      load: async () => (await import("./commands/capture.ts")).capture,
    },
  ],
  [
    "cni",
    {
      summary: "the CNI plugin that sets the rules of capture from the node, and its installation",
      load: async () => (await import("./commands/cni.ts")).cni,
    },
  ],
  program("control-plane", "run the control plane: serves configuration over xDS to sidecars, Envoys and gRPC clients"),
  program("injector", "run Kubernetes' admission webhooks in a process of their own: sidecars into pods, checks"),
  program("sidecar", "run a sidecar from an Envoy bootstrap (-c FILE) or for a control plane (--control-plane)"),
] satisfies [string, Entry][]);

function program(name: ProgramName, summary: string): [string, Entry] {
  return [name, { summary, load: async () => (await import("./commands/run-program.ts")).runProgram(name) }];
}

process.exitCode = await main(process.argv.slice(2));

async function main([word, ...args]: readonly string[]): Promise<number> {
  if (word === undefined || word === "--help" || word === "-h" || word === "help") {
    const topic = await COMMANDS.get(args[0] ?? "")?.load();
    if (topic?.help === "") return topic.run(["--help"]);
    console.log(topic?.help ?? overview());
    return 0;
  }
  if (word === "--version" || word === "version") {
    console.log(versionText());
    return 0;
  }
  const command = await COMMANDS.get(word)?.load();
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

function overview(): string {
  const width = Math.max(...[...COMMANDS.keys()].map((name) => name.length));
  return [
    "heddle: a service mesh in TypeScript",
    "",
    "Usage: heddle COMMAND [OPTIONS]",
    "",
    ...[...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "heddle COMMAND --help tells of one command, heddle --version of this installation.",
    "Ends with 0 when all is well, 1 when something is wrong, 2 when the command line is.",
  ].join("\n");
}
