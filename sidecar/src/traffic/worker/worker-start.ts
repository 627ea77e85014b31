import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { WorkerStart } from "./worker-messages.ts";

/**
 * What this worker is to be, and the port to who started it. Its thread is started and loads its modules before the control thread knows
 * what to tell it, so that comes through a port of its own, which is in `workerData`. Once per thread.
 */
export async function workerStart(): Promise<{ readonly port: MessagePort; readonly start: WorkerStart }> {
  const port = parentPort;
  if (port === null) throw new Error("this module is the entry of a worker thread");
  const from = workerData as MessagePort;
  const start = await new Promise<WorkerStart>((resolve) => from.once("message", resolve));
  from.close();
  return { port, start };
}
