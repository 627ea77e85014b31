import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { JsonObject, KubeObject } from "../../test/harness/kube/kube-object.ts";
import { KubeApiServer } from "../../test/harness/kube-api-server.ts";
import { definition, MESH_DEFINITIONS } from "../../test/harness/kube-mesh.ts";
import { lastFirst } from "../../test/harness/owner.ts";
import { ControlPlaneProcess } from "../control-plane/control-plane-process.ts";
import { cpuMs, forgetPeak, peakMb, rssMb } from "../control-plane/process-cost.ts";
import { Sidecars } from "../control-plane/sidecars.ts";
import { nowMs } from "../control-plane/simulated-sidecar.ts";
import { median, round } from "../path/measure.ts";

const BUILT = join(import.meta.dirname, "../../control-plane/dist/main.js");
const SOURCE = join(import.meta.dirname, "../../control-plane/src/main.ts");
const NAMESPACES = 20;
const NODES = 100;

/**
 * A control plane that follows a cluster of so many Services and endpoints, each a pod with a sidecar: time to the first
 * snapshot, memory, and what one endpoint's change costs. The API server is the tests' own, in the bench's process: it has a
 * share of the machine, and of the time.
 */
export async function kubernetesBench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      services: { type: "string", default: "1000" },
      endpoints: { type: "string", default: "10" },
      rounds: { type: "string", default: "5" },
      entry: { type: "string", default: existsSync(BUILT) ? BUILT : SOURCE },
    },
  });
  const ends: (() => unknown)[] = [];
  const owner = lastFirst({ after: (end) => ends.push(end) });
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  try {
    const [services, endpoints] = [Number(values.services), Number(values.endpoints)];
    const server = await KubeApiServer.start(owner);
    await fill(server, services, endpoints);
    const kubeconfig = join(folder, "kubeconfig");
    writeFileSync(kubeconfig, server.kubeconfig());
    mkdirSync(join(folder, "empty"));
    console.log(`${services} Services, ${services * endpoints} endpoints with a sidecar each, ${NODES} nodes`);
    await measure(server, values.entry, folder, kubeconfig, { endpoints, rounds: Number(values.rounds) });
  } finally {
    for (const end of ends) await end();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  server: KubeApiServer,
  entry: string,
  folder: string,
  kubeconfig: string,
  { endpoints, rounds }: { readonly endpoints: number; readonly rounds: number },
): Promise<void> {
  const startMs = performance.now();
  const flags = ["--kubeconfig", kubeconfig];
  const controlPlane = await ControlPlaneProcess.start(entry, join(folder, "empty"), [], flags);
  const readyMs = performance.now() - startMs;
  const readyCpuMs = cpuMs(controlPlane.pid);
  const readyPeakMb = peakMb(controlPlane.pid);
  const sidecars = new Sidecars(1);
  try {
    const node = { id: `${namespaceOf(0)}/probe/0`, cluster: "probe" }; // of a laptop: it gets what a sidecar of that namespace gets
    const askedMs = performance.now();
    await sidecars.connect(controlPlane.port, undefined, [node]);
    const snapshotMs = performance.now() - askedMs;
    await controlPlane.quiet();
    await sleep(2000);
    const settledMb = rssMb(controlPlane.pid);
    const changes: { readonly ms: number; readonly cpu: number }[] = [];
    const name = `outbound/80/${serviceName(0)}.${namespaceOf(0)}`;
    forgetPeak(controlPlane.pid);
    for (let done = 0; done <= rounds; done += 1) {
      await controlPlane.quiet();
      const [cpuBefore, changedMs] = [cpuMs(controlPlane.pid), nowMs()];
      const { lastMs } = await sidecars.hear(name, name, () => keep(server, SLICES, sliceOf(0, endpoints, done + 1)));
      await sleep(500);
      if (done > 0) changes.push({ ms: lastMs - changedMs, cpu: cpuMs(controlPlane.pid) - cpuBefore });
    }
    console.table({
      "from its start to ready": {
        ms: round(readyMs, 0),
        "CPU ms": round(readyCpuMs, 0),
        "peak MB": round(readyPeakMb, 0),
      },
      "first snapshot of a sidecar, then": { ms: round(snapshotMs, 0), "settled MB": round(settledMb, 0) },
      "one endpoint's change": {
        ms: round(median(changes.map(({ ms }) => ms)), 0),
        "CPU ms": round(median(changes.map(({ cpu }) => cpu)), 0),
        "peak MB": round(peakMb(controlPlane.pid), 0),
      },
    });
  } finally {
    sidecars.close();
    await controlPlane.stop();
  }
}

async function fill(server: KubeApiServer, services: number, endpoints: number): Promise<void> {
  for (const one of MESH_DEFINITIONS) await server.create(definition(one));
  for (let index = 0; index < NAMESPACES; index += 1)
    await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespaceOf(index) } });
  for (let index = 0; index < NODES; index += 1) keep(server, "/nodes", nodeOf(index));
  for (let service = 0; service < services; service += 1) {
    keep(server, "/services", serviceOf(service));
    keep(server, SLICES, sliceOf(service, endpoints, 0));
    for (let index = 0; index < endpoints; index += 1) keep(server, "/pods", podOf(service, index));
  }
  server.compact();
}

const SLICES = "discovery.k8s.io/endpointslices";

/** Past the checks of the API server, which are not what is measured: ten thousand objects would take minutes. */
function keep(server: KubeApiServer, resource: string, object: JsonObject): void {
  const { metadata, ...rest } = object as unknown as KubeObject;
  const uid = `uid ${resource} ${metadata.namespace} ${metadata.name}`;
  server.store.put(resource, { ...rest, metadata: { ...metadata, uid, generation: 1 } });
}

function serviceName(service: number): string {
  return `service-${service}`;
}

function namespaceOf(service: number): string {
  return `team-${service % NAMESPACES}`;
}

function podName(service: number, index: number): string {
  return `${serviceName(service)}-7d4b9f6c5-${(service * 1000 + index).toString(36).padStart(5, "0")}`;
}

function addressOf(service: number, index: number, change = 0): string {
  const number = service * 16 + index;
  return `10.${change}.${Math.floor(number / 250)}.${(number % 250) + 1}`;
}

function nodeOf(index: number): JsonObject {
  const labels = { "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": `eu-${index % 3}` };
  return { apiVersion: "v1", kind: "Node", metadata: { name: `node-${index}`, labels }, spec: {}, status: {} };
}

function serviceOf(service: number): JsonObject {
  const name = serviceName(service);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: namespaceOf(service), labels: { app: name } },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080, protocol: "TCP" }] },
  };
}

/** @param change the last endpoint has another address each time. */
function sliceOf(service: number, endpoints: number, change: number): JsonObject {
  const name = serviceName(service);
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-x7k2p`,
      namespace: namespaceOf(service),
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: Array.from({ length: endpoints }, (_, index) => ({
      addresses: [addressOf(service, index, index === endpoints - 1 ? change : 0)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(service + index) % NODES}`,
      zone: `eu-${((service + index) % NODES) % 3}`,
      targetRef: { kind: "Pod", name: podName(service, index), namespace: namespaceOf(service) },
    })),
  };
}

/** As large as a pod is that a webhook has injected. */
function podOf(service: number, index: number): JsonObject {
  const name = serviceName(service);
  const env = Array.from({ length: 12 }, (_, at) => ({ name: `VARIABLE_${at}`, value: `value ${at} of ${name}` }));
  const ip = addressOf(service, index);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: podName(service, index),
      namespace: namespaceOf(service),
      labels: {
        app: name,
        "pod-template-hash": "7d4b9f6c5",
        "heddle.dev/injected": "true",
        "heddle.dev/rev": "default",
      },
      annotations: { "heddle.dev/status": JSON.stringify({ containers: ["heddle-sidecar", "heddle-capture"] }) },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: `${name}-7d4b9f6c5`,
          uid: `uid-${service}`,
          controller: true,
        },
      ],
    },
    spec: {
      serviceAccountName: name,
      nodeName: `node-${(service + index) % NODES}`,
      initContainers: [
        { name: "heddle-capture", image: "heddle/heddle:0.1.0", env },
        { name: "heddle-sidecar", image: "heddle/heddle:0.1.0", restartPolicy: "Always", env },
      ],
      containers: [{ name: "app", image: "app:1", env, ports: [{ name: "http", containerPort: 8080 }] }],
    },
    status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
  };
}
