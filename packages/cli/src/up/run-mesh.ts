import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Clock } from "@heddle/base";
import { formatDiagnostic } from "@heddle/config/yaml";
import { programArgv, programEnvironment } from "../program.ts";
import { connectedNodes } from "../status.ts";
import { checkMesh } from "./check-mesh.ts";
import { Children } from "./children.ts";
import { followStatus } from "./follow-status.ts";
import { MeshIdentity } from "./mesh-identity.ts";
import { type PlannedWorkload, planWorkloads, workloadsFile } from "./plan.ts";
import { Ports } from "./ports.ts";
import { readProcesses } from "./process-file.ts";
import { formatTable } from "./table.ts";
import { waitUntilReady } from "./wait-until-ready.ts";

export interface MeshOptions {
  readonly folder: string;
  readonly check: boolean;
  readonly showLogs: boolean;
  /** Print the addresses as one line of JSON instead of a table. */
  readonly json: boolean;
  readonly anyPort: boolean;
  /** Sidecars get certificates, and speak mutual TLS with each other and with the control plane. */
  readonly identity: boolean;
  readonly xdsPort: number;
  readonly adminPort: number;
  readonly apiPort: number;
  readonly tlsPort: number;
  readonly print: (line: string) => void;
  readonly clock: Clock;
  /** Resolves with the reason when the mesh has to stop. */
  readonly stop: Promise<string>;
}

/** Nine Node processes on two busy cores take their time. */
const READY_WITHIN_MS = 90_000;

/** Runs the mesh of a folder until told to stop; with `check` until its requests are answered. Returns the exit code. */
export async function runMesh(options: MeshOptions): Promise<number> {
  const { folder, print, clock } = options;
  const processes = readProcesses(folder);
  if (!processes.ok) {
    for (const fault of processes.error) print(formatDiagnostic(fault));
    return 1;
  }
  if (processes.value.length === 0) {
    print(`${folder} holds no Process: there is nothing to run. See examples/shop/processes.yaml for one.`);
    return 1;
  }

  const ports = new Ports({ ignoreWishes: options.anyPort });
  const xdsPort = await ports.wish(options.xdsPort, "the control plane's xDS port");
  const adminPort = await ports.wish(options.adminPort, "the control plane's admin port");
  const apiPort = await ports.wish(options.apiPort, "the port of its resource API");
  const tlsPort = options.identity ? await ports.wish(options.tlsPort, "the control plane's port for TLS") : undefined;
  const workloads = await planWorkloads(processes.value, ports);
  for (const { wished, given, what } of ports.taken) print(`port ${wished} is taken: ${what} is ${given} instead`);
  const adminUrl = `http://127.0.0.1:${adminPort}`;

  const generated = mkdtempSync(join(tmpdir(), "heddle-up-"));
  writeFileSync(join(generated, "workloads.yaml"), workloadsFile(workloads));
  const children = new Children(options);
  const identity = options.identity ? new MeshIdentity(clock) : undefined;
  let follower: { close(): void } | undefined;
  try {
    const controlPlane = children.start(
      "control-plane",
      controlPlaneArgv(
        [folder, generated],
        { xdsPort, adminPort, apiPort },
        options.check,
        tlsPort === undefined ? [] : (identity?.controlPlaneFlags(tlsPort) ?? []),
      ),
    );
    const applicationPids = workloads.map((workload) => startApplication(children, folder, workload));
    let failed = false;
    const failure = Promise.race([children.failed, options.stop]).then((reason) => {
      failed = true;
      return reason;
    });
    // Meanwhile the applications start; sidecars would only wait.
    await identity?.fetchBundle(adminUrl, () => failed);
    const pids = workloads.map((workload, index) => ({
      applicationPid: applicationPids[index]!, // one for each
      sidecarPid: failed ? 0 : startSidecar(children, workload, tlsPort ?? xdsPort, identity),
    }));

    const ready = await Promise.race([
      waitUntilReady(workloads, clock, READY_WITHIN_MS),
      failure.then((reason) => ({ ready: false as const, reason })),
    ]);
    if (!ready.ready) {
      print(`the mesh did not start: ${ready.reason}`);
      children.printRecent();
      return 1;
    }

    if (options.json)
      print(
        JSON.stringify({
          controlPlane: { xdsPort, adminPort, apiPort, pid: controlPlane },
          workloads: workloads.map((w, i) => jsonOf(w, pids[i]!)),
        }),
      );
    else print(await meshTable(workloads, adminUrl));
    if (options.check) return (await checkMesh(workloads, adminUrl, print)) ? 0 : 1;

    if (!options.json) {
      print(
        `control plane: xDS 127.0.0.1:${xdsPort}, admin ${adminUrl}/status (heddle status --admin-port ${adminPort})`,
      );
      print(
        `resource API: http://127.0.0.1:${apiPort} (heddle apply -f FILE${apiPort === 15_016 ? "" : ` --server http://127.0.0.1:${apiPort}`})`,
      );
      print(`following the files of ${folder}; Ctrl-C ends everything`);
    }
    follower = followStatus(
      adminUrl,
      workloads.map(({ nodeId }) => nodeId),
      clock,
      print,
    );
    const ended = await Promise.race([options.stop.then(() => undefined), children.failed]);
    if (ended === undefined) return 0;
    print(`stopping, since ${ended}`);
    children.printRecent();
    return 1;
  } finally {
    follower?.close();
    await children.stop();
    rmSync(generated, { recursive: true, force: true });
    identity?.close();
  }
}

function controlPlaneArgv(
  folders: readonly string[],
  { xdsPort, adminPort, apiPort }: { readonly xdsPort: number; readonly adminPort: number; readonly apiPort: number },
  check: boolean,
  more: readonly string[],
): readonly [string, ...string[]] {
  return [
    process.execPath,
    ...programArgv("control-plane"),
    ...folders.flatMap((folder) => ["--config", folder]),
    // What a check asks is whether the folder makes a mesh.
    ...(check ? ["--store", "none"] : ["--api-address", `127.0.0.1:${apiPort}`]),
    "--xds-address",
    `127.0.0.1:${xdsPort}`,
    "--admin-address",
    `127.0.0.1:${adminPort}`,
    "--exit-with-parent",
    ...more,
  ];
}

function startSidecar(
  children: Children,
  { nodeId, spec, adminPort }: PlannedWorkload,
  port: number,
  identity: MeshIdentity | undefined,
): number {
  const argv = [
    process.execPath,
    ...programArgv("sidecar"),
    "--control-plane",
    `127.0.0.1:${port}`,
    "--node-id",
    nodeId,
    "--node-cluster",
    spec.name,
    "--admin-address",
    `127.0.0.1:${adminPort}`,
    "--exit-with-parent",
    ...(identity?.sidecarFlags ?? []),
  ] as const;
  const env = (): Readonly<Record<string, string | undefined>> => ({
    ...programEnvironment("sidecar"),
    ...NO_FOREIGN_IDENTITY,
    ...identity?.sidecarEnvironment(spec.namespace, spec.serviceAccount),
  });
  return children.start(`${spec.name} sidecar`, argv, { env });
}

/** What this terminal may say of other meshes is not said of this one. */
const NO_FOREIGN_IDENTITY = {
  HEDDLE_CA_BUNDLE: undefined,
  HEDDLE_JOIN_TOKEN: undefined,
  SPIFFE_ENDPOINT_SOCKET: undefined,
};

function startApplication(
  children: Children,
  folder: string,
  { spec, applicationPort, outboundPort }: PlannedWorkload,
): number {
  const proxy = `http://127.0.0.1:${outboundPort}`;
  const [command, ...args] = spec.command;
  return children.start(spec.name, [command === "node" ? process.execPath : command, ...args], {
    cwd: resolve(folder),
    env: {
      // The Node that runs Heddle is also what a bare `node` inside the application finds.
      PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
      PORT: String(applicationPort),
      http_proxy: proxy,
      HTTP_PROXY: proxy,
      ...spec.env,
    },
  });
}

/** Where everything is, and who is connected to the control plane. */
async function meshTable(workloads: readonly PlannedWorkload[], adminUrl: string): Promise<string> {
  const connected = await connectedNodes(adminUrl);
  const rows = workloads.map((workload) => {
    const { spec, nodeId, applicationPort, outboundPort, adminPort } = workload;
    return [
      spec.name,
      urlOf(workload),
      connected.has(nodeId) ? "connected" : "not yet",
      `127.0.0.1:${applicationPort}`,
      `http_proxy=http://127.0.0.1:${outboundPort}`,
      `http://127.0.0.1:${adminPort}`,
    ];
  });
  return formatTable(rows, [
    "SERVICE",
    "URL (THROUGH ITS SIDECAR)",
    "SIDECAR IS",
    "APPLICATION",
    "CALLS OTHERS THROUGH",
    "SIDECAR ADMIN",
  ]);
}

function jsonOf(
  workload: PlannedWorkload,
  pids: { readonly applicationPid: number; readonly sidecarPid: number },
): object {
  const { spec, publicPort, applicationPort, outboundPort, adminPort } = workload;
  return { name: spec.name, url: urlOf(workload), publicPort, applicationPort, outboundPort, adminPort, ...pids };
}

function urlOf({ publicPort, spec }: PlannedWorkload): string {
  return `http://127.0.0.1:${publicPort}${spec.checkPath}`;
}
