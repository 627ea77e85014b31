import { HttpHost } from "./traffic/worker/http-host.ts";
import { runWorker } from "./traffic/worker/run-worker.ts";
import { workerStart } from "./traffic/worker/worker-start.ts";

/* The entry of a traffic worker's thread. It must load neither gRPC nor protobuf nor YAML (test/architecture.test.ts). */

const { port, start } = await workerStart();
await runWorker(port, start, (env) => new HttpHost(env, start.filterFolder, process.env));
