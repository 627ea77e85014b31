import { Worker } from "node:worker_threads";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { eventually } from "../harness/eventually.ts";
import type { Owner } from "../harness/owner.ts";
import { asIs, type Order, type Report, WHO_AM_I } from "./grpc-xds-orders.ts";

/*
 * gRPC's own xDS client, which shares no line with ours, and a gRPC service that says who answered. For any control plane.
 */

/** A gRPC server on a free port that answers every call with its name. */
export async function namedServer(name: string): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = new Server();
  server.addService(
    { whoAmI: method(WHO_AM_I) },
    { whoAmI: (_call: unknown, answer: (error: null, value: Buffer) => void) => answer(null, Buffer.from(name)) },
  );
  const port = await listen(server);
  return { port, close: async () => server.forceShutdown() };
}

/** Binds to a free port of loopback, plaintext. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

/** A gRPC client of "xds:///<name>" that knows nothing but where the control plane is. */
export interface XdsCaller {
  /** The name of the server that answered. */
  call(): Promise<string>;
  close(): void;
}

export interface XdsCallerOptions {
  /** What stands after "xds:///": a listener of the control plane. */
  readonly name: string;
  readonly controlPlanePort: number;
  readonly nodeId: string;
}

/**
 * Makes clients, in a thread of their own, which ends with its owner whatever they are doing. A client of grpc-js that is
 * closed leaves things behind that hold the thread they are in: the timer of PriorityChildImpl for 10 s, and for ever the ADS
 * call (`waitForReady`, on a channel that XdsSingleServerClient never closes) of one whose control plane is not there.
 */
export class XdsClients {
  readonly #worker = new Worker(new URL("./grpc-xds-worker.ts", import.meta.url));
  readonly #calls = new Map<number, (report: Report) => void>();
  #lastClient = 0;
  #lastCall = 0;

  constructor(owner: Owner) {
    owner.after(() => this.#worker.terminate());
    this.#worker.on("message", (report: Report) => {
      this.#calls.get(report.call)?.(report);
      this.#calls.delete(report.call);
    });
  }

  caller(options: XdsCallerOptions): XdsCaller {
    const client = ++this.#lastClient;
    this.#tell({ order: "open", client, ...options });
    return {
      call: () =>
        new Promise((resolve, reject) => {
          const call = ++this.#lastCall;
          this.#calls.set(call, ({ error, answer }) =>
            error === undefined ? resolve(answer) : reject(new Error(error)),
          );
          this.#tell({ order: "call", client, call });
        }),
      close: () => this.#tell({ order: "close", client }),
    };
  }

  #tell(order: Order): void {
    this.#worker.postMessage(order);
  }
}

/** Closes callers and waits until the control plane has seen their streams end. */
export async function closeCallers(
  callers: readonly XdsCaller[],
  connectedNodes: () => number | Promise<number>,
): Promise<void> {
  for (const caller of callers) caller.close();
  await eventually("the callers' streams have ended", async () => (await connectedNodes()) === 0);
}

function method(path: string) {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}
