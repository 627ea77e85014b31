import assert from "node:assert/strict";
import { eventually } from "./eventually.ts";
import type { Owner } from "./owner.ts";
import type { SidecarProcess } from "./sidecar.ts";

/** Node flags with which a sidecar lets itself be inspected. */
export const INSPECTABLE: readonly string[] = ["--inspect=127.0.0.1:0"];

/** What the traffic worker holds once everything unreachable is gone. */
export interface WorkerHoldings {
  /** Bytes of the JavaScript heap. */
  readonly heap: number;
  /** Bytes outside of it, buffers included. */
  readonly external: number;
  /** Timers, sockets, servers and the like that keep the thread alive, by kind. */
  readonly resources: Readonly<Record<string, number>>;
}

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly sessionId?: string; readonly message?: string };
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** The inspector of a sidecar's one traffic worker: the DevTools protocol, through the main thread's session. */
export class WorkerInspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #worker = "";
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(String(data)) as Reply));
  }

  /** Of a sidecar that was started with `INSPECTABLE` and one worker. */
  static async attach(sidecar: SidecarProcess, owner: Owner): Promise<WorkerInspector> {
    const address = /Debugger listening on (ws:\S+)/.exec(sidecar.log)?.[1];
    assert.ok(address !== undefined, "the sidecar can be inspected");
    const socket = new WebSocket(address);
    owner.after(() => socket.close());
    const opened = Promise.withResolvers<void>();
    socket.addEventListener("open", () => opened.resolve());
    socket.addEventListener("error", () => opened.reject(new Error(`no inspector at ${address}`)));
    await opened.promise;
    const inspector = new WorkerInspector(socket);
    inspector.#send({ id: 0, method: "NodeWorker.enable", params: { waitForDebuggerOnStart: false } });
    await eventually("the traffic worker is attached to", () => inspector.#worker !== "");
    return inspector;
  }

  /** A command to the worker. */
  command(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    const message = JSON.stringify({ id, method, params });
    this.#send({ id, method: "NodeWorker.sendMessageToWorker", params: { sessionId: this.#worker, message } });
    return answer.promise;
  }

  /** The value of an expression in the worker, which JSON can carry. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = (await this.command("Runtime.evaluate", { expression, returnByValue: true })) as {
      readonly result: { readonly value: unknown };
    };
    return result.value;
  }

  async holdings(): Promise<WorkerHoldings> {
    await this.command("HeapProfiler.collectGarbage");
    const counted = await this.evaluate(`(() => {
      const { heapUsed, external } = process.memoryUsage();
      const resources = {};
      for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
      return { heap: heapUsed, external, resources };
    })()`);
    return counted as WorkerHoldings;
  }

  /** Bytes of the JavaScript heap that the worker allocates while something goes on, by the functions that do, most first. */
  async allocations(during: () => Promise<void>): Promise<ReadonlyMap<string, number>> {
    await this.command("HeapProfiler.startSampling", {
      samplingInterval: 2048,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
    await during();
    const { profile } = (await this.command("HeapProfiler.stopSampling")) as {
      readonly profile: { readonly head: ProfileNode };
    };
    const byFunction = new Map<string, number>();
    const add = ({ selfSize, callFrame, children }: ProfileNode): void => {
      const place = `${callFrame.functionName || "?"} ${callFrame.url.split("/").slice(-2).join("/")}:${callFrame.lineNumber + 1}`;
      if (selfSize > 0) byFunction.set(place, (byFunction.get(place) ?? 0) + selfSize);
      for (const child of children) add(child);
    };
    add(profile.head);
    return new Map([...byFunction].sort(([, a], [, b]) => b - a));
  }

  #send(command: object): void {
    this.#socket.send(JSON.stringify(command));
  }

  #hear({ method, params }: Reply): void {
    if (method === "NodeWorker.attachedToWorker") this.#worker = params?.sessionId ?? "";
    if (method !== "NodeWorker.receivedMessageFromWorker") return;
    const reply = JSON.parse(params?.message ?? "{}") as Reply;
    if (reply.id === undefined) return;
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply.result);
    else waiting?.reject(new Error(reply.error.message));
  }
}

interface ProfileNode {
  readonly selfSize: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children: readonly ProfileNode[];
}
