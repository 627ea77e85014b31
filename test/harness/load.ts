import { Agent, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import type { Owner } from "./owner.ts";

export interface LoadResult {
  readonly requests: number;
  /** What went wrong, with how often: anything that is no 200. */
  readonly failures: ReadonlyMap<string, number>;
}

export interface RunningLoad {
  /** The last answers' bodies, newest last, at most 200. */
  readonly recent: readonly string[];
  /** Answers so far. */
  readonly count: number;
  stop(): Promise<LoadResult>;
}

export interface LoadOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Of each client between an answer and its next request; 5. Eight clients without a pause take both cores of a small machine, and what
   * the test waits for gets what they leave: killing and finding a control plane again took 25 s of CPU.
   */
  readonly pauseMs?: number;
  /** Of https where the URL says so; it is destroyed with the load. */
  readonly agent?: Agent;
}

/** Keep-alive clients that ask the same URL again and again, each one request at a time, until stopped or the test ends. */
export function startLoad(url: string, clients: number, owner: Owner, options: LoadOptions = {}): RunningLoad {
  const { headers = {}, pauseMs = 5, agent = new Agent({ keepAlive: true, maxSockets: clients }) } = options;
  const request = url.startsWith("https:") ? requestTls : requestPlain;
  const failures = new Map<string, number>();
  const recent: string[] = [];
  let requests = 0;
  let stopping = false;

  async function client(): Promise<void> {
    while (!stopping) {
      const failure = await ask().then(
        ({ status, body }) => {
          recent.push(body);
          if (recent.length > 200) recent.shift();
          return status === 200 ? undefined : `${status} ${body.slice(0, 120)}`;
        },
        (error: NodeJS.ErrnoException) => `${error.code ?? ""} ${error.message}`,
      );
      requests += 1;
      if (failure !== undefined) failures.set(failure, (failures.get(failure) ?? 0) + 1);
      if (pauseMs > 0) await sleep(pauseMs);
    }
  }

  function ask(): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const req = request(url, { agent, headers });
      req.once("error", reject);
      req.once("response", (res) => {
        let body = "";
        res.setEncoding("utf8");
        res.on("data", (chunk: string) => {
          body += chunk;
        });
        res.once("error", reject);
        res.once("end", () => resolve({ status: res.statusCode ?? 0, body }));
      });
      req.end();
    });
  }

  owner.after(() => {
    stopping = true;
    agent.destroy();
  });
  const running = Promise.all(Array.from({ length: clients }, client));
  return {
    recent,
    get count() {
      return requests;
    },
    async stop() {
      stopping = true;
      await running;
      agent.destroy();
      return { requests, failures };
    },
  };
}
