import { parentPort, workerData } from "node:worker_threads";
import { HttpHost } from "./traffic/worker/http-host.ts";
import { runWorker } from "./traffic/worker/run-worker.ts";
import type { WorkerStart } from "./traffic/worker/worker-messages.ts";

/* The entry of a traffic worker's thread. It must load neither gRPC nor protobuf nor YAML (test/architecture.test.ts). */

if (parentPort === null) throw new Error("this module is the entry of a worker thread");
const start = workerData as WorkerStart;
await runWorker(parentPort, start, (env) => new HttpHost(env, start.filterFolder, process.env));
