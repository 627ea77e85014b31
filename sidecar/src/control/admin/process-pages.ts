import type { Json } from "@heddle/base";
import type { AssembledResource } from "@heddle/config";
import { type AdminAnswer, type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import { mergedRuntime, type RuntimeLayerContent } from "@heddle/traffic";

/** What the pages about memory, warming and runtime show. */
export interface ProcessSubjects {
  readonly memory: () => MemoryFigures;
  readonly resources: () => readonly AssembledResource[];
  /** The layers of the runtime as they are now, in order. */
  readonly runtimeLayers: () => readonly RuntimeLayerContent[];
  /** Sets keys in the admin layer, or with "" takes them out. False: there is no such layer. */
  readonly modifyRuntime: (changes: Readonly<Record<string, string>>) => boolean;
}

/** In bytes: of V8 on the control thread, but `residentBytes` of the whole process. */
export interface MemoryFigures {
  readonly usedBytes: number;
  readonly heapBytes: number;
  readonly residentBytes: number;
}

/** Pages under Envoy's names for those who watch or drive Envoys: what a sidecar can say, and plainly what it cannot. */
export function processPages(subjects: ProcessSubjects): AdminPage[] {
  return [
    {
      path: "/memory",
      method: "GET",
      help: "memory of the process",
      answer: () => jsonAnswer(memoryJson(subjects.memory())),
    },
    {
      path: "/init_dump",
      method: "GET",
      help: "what is waited for before everything serves",
      params: [{ name: "mask", help: "listener: what listeners wait for" }],
      answer: () => jsonAnswer(initDump(subjects.resources())),
    },
    {
      path: "/runtime",
      method: "GET",
      help: "runtime values, by layer; keys that are not named in the docs have no effect",
      answer: () => jsonAnswer(runtimeJson(subjects.runtimeLayers())),
    },
    {
      path: "/runtime_modify",
      method: "POST",
      help: "sets runtime values: /runtime_modify?key1=value1&key2=value2; an empty value takes a key away",
      answer: (query) => modifyRuntime(query, subjects),
    },
    {
      path: "/hot_restart_version",
      method: "GET",
      help: "disabled: there is no hot restart",
      answer: () => ({ body: "disabled" }),
    },
    {
      path: "/contention",
      method: "GET",
      help: "not available: threads of a sidecar take no locks",
      answer: () => ({ body: "Mutex contention tracing is not enabled: there are no locks to contend for.\n" }),
    },
    unavailable("/cpuprofiler", "POST", PROFILER),
    unavailable("/heapprofiler", "POST", PROFILER),
    unavailable("/heap_dump", "GET", PROFILER),
  ];
}

const PROFILER = "start the sidecar with NODE_OPTIONS=--cpu-prof or --heap-prof, or attach an inspector";

function unavailable(path: string, method: AdminPage["method"], instead: string): AdminPage {
  return {
    path,
    method,
    help: `not available: ${instead}`,
    answer: () => ({ status: 501, body: `The current build does not support this: ${instead}.\n` }),
  };
}

/** `envoy.admin.v3.Memory`; what an allocator of C++ has and V8 has not is 0. Numbers of 64 bits are text in JSON. */
function memoryJson({ usedBytes, heapBytes, residentBytes }: MemoryFigures): Json {
  return {
    allocated: String(usedBytes),
    heap_size: String(heapBytes),
    pageheap_unmapped: "0",
    pageheap_free: String(heapBytes - usedBytes),
    total_thread_cache: "0",
    total_physical_bytes: String(residentBytes),
  };
}

/** `envoy.admin.v3.UnreadyTargetsDumps`: each resource that warms, with what it waits for. */
function initDump(resources: readonly AssembledResource[]): Json {
  const waiting = resources.filter(({ warming }) => warming !== undefined);
  return {
    unready_targets_dumps: waiting.map(({ kind, name, waitingFor }) => ({
      name: `${kind} ${name}`,
      target_names: [...waitingFor],
    })),
  };
}

/** As Envoy: text for those who look. */
function modifyRuntime(query: URLSearchParams, { modifyRuntime: modify }: ProcessSubjects): AdminAnswer {
  const changes = Object.fromEntries(query);
  if (Object.keys(changes).length === 0)
    return {
      status: 400,
      body: "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       use an empty value to remove a previously added override\n",
    };
  return modify(changes) ? { body: "OK\n" } : { status: 503, body: "No admin layer specified\n" };
}

function runtimeJson(layers: readonly RuntimeLayerContent[]): Json {
  const merged = mergedRuntime(layers);
  const said = (values: RuntimeLayerContent["values"], key: string): Json | undefined =>
    Object.hasOwn(values, key) ? values[key] : undefined;
  const entry = (key: string): Json => ({
    layer_values: layers.map(({ values }) => runtimeText(said(values, key))),
    final_value: runtimeText(merged[key]),
  });
  const keys = Object.keys(merged).sort();
  return { layers: layers.map(({ name }) => name), entries: Object.fromEntries(keys.map((key) => [key, entry(key)])) };
}

function runtimeText(value: Json | undefined): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
