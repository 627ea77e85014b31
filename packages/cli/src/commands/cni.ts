import { readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "@heddle/base";
import { BACKEND_NAMES } from "../capture/backend.ts";
import { Installation } from "../cni/installation.ts";
import { KubeApi } from "../cni/kube-api.ts";
import { readKubeConfig } from "../cni/kube-config.ts";
import { runPlugin } from "../cni/plugin.ts";
import { REPAIRS, repairPods } from "../cni/repair.ts";
import { type Command, UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const BACKENDS = ["auto", ...BACKEND_NAMES] as const;

const help = `Usage: heddle cni install [OPTIONS]
       heddle cni

install: puts the plugin on this node and keeps it there (in a DaemonSet): program, kubeconfig with a fresh token, and its entry at
the end of the chain of the node's network configuration, however often that is rewritten. Pods of the node that started without
their rules are mended. At its end, SIGTERM, everything is taken away again.

Alone it is the plugin (CNI 1.0 and 1.1): what a container runtime calls for each pod, with CNI_COMMAND in the environment and the
configuration on stdin. docs/capture.md tells of both.

Options of install:
  --cni-bin-dir DIR          the node's plugins, as seen here (/host/opt/cni/bin)
  --cni-conf-dir DIR         the node's network configurations, as seen here (/host/etc/cni/net.d)
  --host-bin-dir DIR         the first as the node sees it (/opt/cni/bin)
  --host-conf-dir DIR        the second as the node sees it (/etc/cni/net.d)
  --api-server URL           for the plugin (https://KUBERNETES_SERVICE_HOST:KUBERNETES_SERVICE_PORT)
  --service-account DIR      token and ca.crt of this DaemonSet (/var/run/secrets/kubernetes.io/serviceaccount)
  --exclude-namespace NAME   pods there start without being asked about; may be given more than once (kube-system, heddle-system)
  --backend NAME             ${BACKENDS.join(", ")} (auto)
  --node-name NAME           whose pods are mended (NODE_NAME); without: none
  --repair WORD              rules (default): set them now; label: heddle.dev/capture-missing; delete; off
  --proc-dir DIR             /proc of the node (/proc, with hostPID)
  --interval SECONDS         how often everything is looked at besides changes of the folder (15)
  --copy-program             copies Node and the plugin beside it: for nodes without either (where it was built: npm run build)
  --once                     install and end
  --remove                   take everything away and end
  -h, --help                 print this`;

/** A runtime that reads while a writer of another program has half a file would be a burst of events: they are looked at together. */
const SETTLE_MS = 200;

export const cni: Command = {
  name: "cni",
  help,
  async run([verb, ...args]) {
    if (verb === undefined) {
      const { stdout, exitCode } = await runPlugin(process.env, process.stdin.isTTY ? "" : readFileSync(0, "utf8"));
      process.stdout.write(stdout);
      return exitCode;
    }
    if (verb !== "install") throw new UsageError(`found "${verb}", allowed: heddle cni install, heddle cni`);
    return install(args);
  },
};

async function install(args: readonly string[]): Promise<number> {
  const { values } = parseCommandLine(args, {
    options: {
      "cni-bin-dir": { type: "string", default: "/host/opt/cni/bin" },
      "cni-conf-dir": { type: "string", default: "/host/etc/cni/net.d" },
      "host-bin-dir": { type: "string", default: "/opt/cni/bin" },
      "host-conf-dir": { type: "string", default: "/etc/cni/net.d" },
      "api-server": { type: "string" },
      "service-account": { type: "string", default: "/var/run/secrets/kubernetes.io/serviceaccount" },
      "exclude-namespace": { type: "string", multiple: true, default: ["kube-system", "heddle-system"] },
      backend: { type: "string", default: "auto" },
      "node-name": { type: "string", default: process.env["NODE_NAME"] ?? "" },
      repair: { type: "string", default: "rules" },
      "proc-dir": { type: "string", default: "/proc" },
      interval: { type: "string", default: "15" },
      "copy-program": { type: "boolean", default: false },
      once: { type: "boolean", default: false },
      remove: { type: "boolean", default: false },
    },
  });
  const backend = oneOf("--backend", values.backend, BACKENDS);
  const repair = oneOf("--repair", values.repair, REPAIRS);
  const intervalMs = Number(values.interval) * 1000;
  if (!(intervalMs >= 100 && intervalMs <= 3_600_000))
    throw new UsageError(`--interval: found "${values.interval}", allowed: 0.1 to 3600`);
  const excludeNamespaces = values["exclude-namespace"];
  const name = "heddle-cni.kubeconfig";
  const kubeconfigFile = join(values["cni-conf-dir"], name);
  let said = "";
  const log = (line: string): void => {
    if (line !== said) console.log(`heddle cni: ${line}`); // an API server that is away is the same every interval
    said = line;
  };
  const program = pluginProgram(values["host-bin-dir"], values["copy-program"]);
  const server = values["api-server"] ?? inClusterServer();
  if (server === undefined && !values.remove)
    throw new UsageError("--api-server: outside of a cluster it is to be named");
  const installation = new Installation({
    binDir: values["cni-bin-dir"],
    confDir: values["cni-conf-dir"],
    kubeconfigFile,
    kubeconfigText: () => kubeconfigText(server ?? "", values["service-account"]),
    kubeconfig: join(values["host-conf-dir"], name),
    backend,
    excludeNamespaces,
    ...program,
    log,
  });
  if (values.remove) {
    installation.remove();
    return 0;
  }
  const isChained = ensure(installation, log);
  if (values.once) return isChained ? 0 : 1;
  const mend = async (): Promise<void> => {
    if (values["node-name"] === "" || repair === "off") return;
    const api = new KubeApi(await readKubeConfig(kubeconfigFile));
    await repairPods({
      api,
      node: values["node-name"],
      repair,
      backend,
      excludeNamespaces,
      procDir: values["proc-dir"],
      log,
    });
  };
  await keep(installation, mend, values["cni-conf-dir"], intervalMs, log);
  installation.remove();
  return 0;
}

/** Looks again when the folder changes and every interval, one look at a time, until SIGTERM or SIGINT. */
async function keep(
  installation: Installation,
  mend: () => Promise<void>,
  folder: string,
  intervalMs: number,
  log: (line: string) => void,
): Promise<void> {
  let isEnding = false;
  let wake: () => void = () => undefined;
  const end = (): void => {
    isEnding = true;
    wake();
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  let hasChanged = false;
  const watcher = watch(folder, () => {
    hasChanged = true;
    wake();
  });
  watcher.on("error", (error) =>
    log(`error: ${folder} cannot be watched (${error.message}); it is looked at every interval`),
  );
  while (!isEnding) {
    try {
      await mend();
    } catch (error) {
      log(`error: ${(error as Error).message}`);
    }
    if (!hasChanged && !isEnding) await sleep(intervalMs, (again) => (wake = again));
    if (!isEnding && hasChanged) await sleep(SETTLE_MS, () => undefined);
    hasChanged = false;
    if (!isEnding) ensure(installation, log);
  }
  watcher.close();
}

/** A folder that is not there yet, or a token that cannot be read, is said and tried again. */
function ensure(installation: Installation, log: (line: string) => void): boolean {
  try {
    return installation.ensure();
  } catch (error) {
    log(`error: ${(error as Error).message}`);
    return false;
  }
}

function sleep(ms: number, early: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = systemClock.after(ms, resolve);
    early(() => {
      timer.cancel();
      resolve();
    });
  });
}

/** What the runtime is to run. From source, or where Node is on the node: in place. With a bundle: copied, Node too. */
function pluginProgram(
  hostBinDir: string,
  isCopied: boolean,
): { readonly argv: readonly string[]; readonly files: ReadonlyMap<string, string> } {
  const conditions = process.execArgv.filter((flag) => flag.startsWith("--conditions="));
  const entry = fileURLToPath(new URL(conditions.length > 0 ? "../cni-main.ts" : "../cni-main.js", import.meta.url));
  if (!isCopied)
    return {
      argv: [process.execPath, "--disable-warning=ExperimentalWarning", ...conditions, entry],
      files: new Map(),
    };
  const bundle = fileURLToPath(
    new URL(conditions.length > 0 ? "../../dist/bundle/cni-main.js" : "../bundle/cni-main.js", import.meta.url),
  );
  const files = new Map([
    ["heddle-cni-node", process.execPath],
    ["heddle-cni.mjs", bundle],
  ]);
  return { argv: [join(hostBinDir, "heddle-cni-node"), join(hostBinDir, "heddle-cni.mjs")], files };
}

/** A kubeconfig in JSON, with the token that the kubelet renews: the node does not see the file of the pod. */
function kubeconfigText(server: string, folder: string): string {
  const cluster = { server, "certificate-authority-data": readFileSync(join(folder, "ca.crt")).toString("base64") };
  return `${JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "cluster", cluster }],
      users: [{ name: "heddle-cni", user: { token: readFileSync(join(folder, "token"), "utf8").trim() } }],
      contexts: [{ name: "heddle-cni", context: { cluster: "cluster", user: "heddle-cni" } }],
      "current-context": "heddle-cni",
    },
    null,
    2,
  )}\n`;
}

function inClusterServer(): string | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  if (host === undefined || port === undefined) return undefined;
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function oneOf<const Word extends string>(flag: string, found: string, allowed: readonly Word[]): Word {
  const word = allowed.find((each) => each === found);
  if (word === undefined) throw new UsageError(`${flag}: found "${found}", allowed: ${allowed.join(", ")}`);
  return word;
}
