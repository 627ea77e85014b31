import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { median, round } from "../path/measure.ts";
import { ControlPlaneProcess } from "./control-plane-process.ts";
import { type BenchAuthority, makeAuthority } from "./credentials.ts";
import { clusterName, GeneratedMesh, type MeshSize } from "./generated-mesh.ts";
import { cpuMs, forgetPeak, peakMb, rssMb } from "./process-cost.ts";
import { type Outcome, Sidecars } from "./sidecars.ts";
import { nowMs } from "./simulated-sidecar.ts";

const BUILT = join(import.meta.dirname, "../../control-plane/dist/main.js");
const SOURCE = join(import.meta.dirname, "../../control-plane/src/main.ts");

/** Given back by then is what connecting has left behind. */
const SETTLE_MS = 5000;
/** What nobody should have got would have come by then. */
const QUIET_MS = 300;
/** A service that is called by a few workloads, other than the one that all call. */
const RARE_SERVICE = 17;

interface Options extends MeshSize {
  readonly entry: string;
  readonly nodes: readonly number[];
  readonly rounds: number;
  readonly processes: number;
  readonly nodeOptions: readonly string[];
  /** Sidecars come by mutual TLS. */
  readonly tls: boolean;
}

/**
 * The control plane with N simulated sidecars: memory for each stream, and time and CPU of a change and of a storm of
 * reconnects. bench/README.md tells of the tables and the options.
 */
export async function controlPlaneBench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      nodes: { type: "string", default: "100,1000,4000" },
      egress: { type: "string", default: "scoped,all" },
      services: { type: "string", default: "1000" },
      endpoints: { type: "string", default: "10" },
      rounds: { type: "string", default: "5" },
      processes: { type: "string", default: "2" },
      entry: { type: "string", default: existsSync(BUILT) ? BUILT : SOURCE },
      "node-options": { type: "string", default: "" },
      tls: { type: "boolean", default: false },
    },
  });
  for (const egress of values.egress.split(",")) {
    if (egress !== "scoped" && egress !== "all") throw new Error(`--egress ${egress}: allowed are scoped and all`);
    await benchScope({
      egress,
      nodes: values.nodes.split(",").map(Number),
      services: Number(values.services),
      endpoints: Number(values.endpoints),
      rounds: Number(values.rounds),
      processes: Number(values.processes),
      entry: values.entry,
      nodeOptions: values["node-options"].split(" ").filter((word) => word !== ""),
      tls: values.tls,
    });
  }
}

async function benchScope(options: Options): Promise<void> {
  const { egress, services, endpoints } = options;
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  try {
    const mesh = new GeneratedMesh(join(folder, "mesh"), options);
    const memory: Record<string, object> = {};
    const work: Record<string, object> = {};
    const authority = options.tls ? makeAuthority(folder) : undefined;
    for (const nodes of options.nodes) await benchNodes(mesh, nodes, options, authority, memory, work);
    console.log(
      `\n${services} services x ${endpoints} endpoints, egress ${egress}${options.tls ? ", mutual TLS" : ""}: ${options.entry.endsWith(".ts") ? "from source" : "built"}`,
    );
    console.table(memory);
    console.table(work);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows for one number of sidecars. */
async function benchNodes(
  mesh: GeneratedMesh,
  nodes: number,
  { entry, rounds, processes, nodeOptions }: Options,
  authority: BenchAuthority | undefined,
  memory: Record<string, object>,
  work: Record<string, object>,
): Promise<void> {
  const controlPlane = await ControlPlaneProcess.start(entry, mesh.folder, nodeOptions, authority?.flags ?? []);
  const sidecars = new Sidecars(processes);
  const { pid } = controlPlane;
  try {
    await controlPlane.quiet();
    await sleep(SETTLE_MS);
    const idleMb = rssMb(pid);
    forgetPeak(pid);
    const all = Array.from({ length: nodes }, (_, index) => mesh.node(index));
    const connected = await cost(pid, sidecars, () => sidecars.connect(controlPlane.port, authority?.credentials, all));
    const connectedMb = rssMb(pid);
    await controlPlane.quiet();
    await sleep(SETTLE_MS);
    const settledMb = rssMb(pid);
    memory[`${nodes} sidecars`] = {
      "idle MB": round(idleMb, 0),
      "connected MB": round(connectedMb, 0),
      "peak MB": round(peakMb(pid), 0),
      "settled MB": round(settledMb, 0),
      "above idle MB": round(settledMb - idleMb, 0),
      "KiB/stream": round(((settledMb - idleMb) * 1024) / nodes, 0),
    };
    work[`${nodes}: first connect`] = rowOf([connected]);
    for (const [what, service] of [
      ["endpoint", 0],
      ["endpoint", RARE_SERVICE],
      ["route", 0],
      ["route", RARE_SERVICE],
    ] as const) {
      const samples: Sample[] = [];
      // The first of them finds code that has never run: not counted.
      for (let done = 0; done <= rounds; done += 1) {
        await controlPlane.quiet();
        const name = what === "route" ? "outbound" : clusterName(service);
        const sample = await cost(pid, sidecars, () =>
          sidecars.hear(clusterName(service), name, () => mesh.change(what, service)),
        );
        if (done > 0) samples.push(sample);
      }
      work[`${nodes}: one ${what}, ${service === 0 ? "of all" : "of few"}`] = rowOf(samples);
    }
    const storms: Sample[] = [];
    for (let done = 0; done < rounds; done += 1) {
      await controlPlane.quiet();
      forgetPeak(pid);
      storms.push(await cost(pid, sidecars, () => sidecars.reconnect()));
    }
    work[`${nodes}: storm of reconnects`] = { ...rowOf(storms), "peak MB": round(peakMb(pid), 0) };
    await controlPlane.quiet();
    await sleep(SETTLE_MS);
    memory[`${nodes} sidecars`] = { ...memory[`${nodes} sidecars`], "after storms MB": round(rssMb(pid), 0) };
  } finally {
    sidecars.close();
    await controlPlane.stop();
  }
}

interface Sample extends Outcome {
  readonly totalMs: number;
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
}

/** What it takes until everybody concerned has accepted what comes of it; CPU until nothing more comes. */
async function cost(pid: number, sidecars: Sidecars, act: () => Promise<Outcome>): Promise<Sample> {
  const clientBefore = await sidecars.cpuMs();
  const serverBefore = cpuMs(pid);
  const beganMs = nowMs();
  const outcome = await act();
  await sleep(QUIET_MS);
  const serverCpuMs = cpuMs(pid) - serverBefore;
  const resources = await sidecars.resources();
  const clientCpuMs = (await sidecars.cpuMs()) - clientBefore;
  return { ...outcome, resources, totalMs: outcome.lastMs - beganMs, serverCpuMs, clientCpuMs };
}

function rowOf(samples: readonly Sample[]): object {
  const of = (field: (sample: Sample) => number, digits = 0): number => round(median(samples.map(field)), digits);
  return {
    ...(of(({ sidecars }) => sidecars) === 0 ? {} : timesOf(samples)),
    "CPU ms": of(({ serverCpuMs }) => serverCpuMs, 1),
    "clients' CPU ms": of(({ clientCpuMs }) => clientCpuMs, 1),
    "resources sent": of(({ resources }) => resources),
  };
}

/** There is nobody to wait for where no sidecar holds what changed: with few of them nobody calls the rare service. */
function timesOf(samples: readonly Sample[]): object {
  const of = (field: (sample: Sample) => number, digits = 0): number => round(median(samples.map(field)), digits);
  return {
    sidecars: of(({ sidecars }) => sidecars),
    "to last ACK ms": of(({ totalMs }) => totalMs),
    "slowest ms": round(Math.max(...samples.map(({ totalMs }) => totalMs)), 0),
    "first to last ACK ms": of(({ firstMs, lastMs }) => lastMs - firstMs, 1),
  };
}
