import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Order, Report } from "./client-process.ts";
import type { Credentials } from "./credentials.ts";

const ENTRY = join(import.meta.dirname, "client-process.ts");
/** A control plane that has not served everybody by then will not. */
const PATIENCE_MS = 120_000;

/** What has happened to all sidecars together. */
export interface Outcome {
  readonly sidecars: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly resources: number;
}

/** Simulated sidecars, spread over processes. */
export class Sidecars {
  readonly #clients: readonly ChildProcess[];

  constructor(processes: number) {
    this.#clients = Array.from({ length: processes }, () =>
      fork(ENTRY, { stdio: ["ignore", "inherit", "inherit", "ipc"] }),
    );
  }

  /** CPU of all client processes since they started, in ms. */
  async cpuMs(): Promise<number> {
    const reports = await this.#all({ type: "tell" }, "told");
    return reports.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  }

  /** How many resources have come since the last order. */
  async resources(): Promise<number> {
    return joined(await this.#all({ type: "tell" }, "told")).resources;
  }

  /** Connects all, and waits until each has everything. */
  async connect(
    port: number,
    credentials: Credentials | undefined,
    nodes: readonly { id: string; cluster: string }[],
  ): Promise<Outcome> {
    const share = Math.ceil(nodes.length / this.#clients.length);
    const reports = this.#clients.map((client, index) =>
      order(
        client,
        { type: "connect", port, credentials, nodes: nodes.slice(index * share, (index + 1) * share) },
        "done",
      ),
    );
    return joined(await Promise.all(reports));
  }

  async reconnect(): Promise<Outcome> {
    return joined(await this.#all({ type: "reconnect" }, "done"));
  }

  /** Waits until everybody who holds that cluster has accepted a new version of the resource that `change` changes. */
  async hear(holding: string, name: string, change: () => void): Promise<Outcome> {
    const ready = await this.#all({ type: "expect", holding, name }, "ready");
    const concerned = this.#clients.filter((_, index) => ready[index]!.sidecars > 0);
    const done = concerned.map((client) => reportOf(client, "done"));
    change();
    return joined(await Promise.all(done));
  }

  close(): void {
    for (const client of this.#clients) client.disconnect();
  }

  #all(what: Order, answer: Report["type"]): Promise<Report[]> {
    return Promise.all(this.#clients.map((client) => order(client, what, answer)));
  }
}

function order(client: ChildProcess, what: Order, answer: Report["type"]): Promise<Report> {
  const answered = reportOf(client, answer);
  client.send(what);
  return answered;
}

function reportOf(client: ChildProcess, type: Report["type"]): Promise<Report> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      client.off("message", onMessage);
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error(`a client process was not "${type}" within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    const onMessage = (report: Report): void => {
      if (report.type !== type && report.type !== "lost") return;
      end();
      if (report.type === "lost") reject(new Error(`a stream ended: ${report.reason}`));
      else resolve(report);
    };
    client.on("message", onMessage);
  });
}

function joined(reports: readonly Report[]): Outcome {
  const busy = reports.filter(({ sidecars }) => sidecars > 0);
  return {
    sidecars: busy.reduce((sum, { sidecars }) => sum + sidecars, 0),
    firstMs: Math.min(...busy.map(({ firstMs }) => firstMs)),
    lastMs: Math.max(...busy.map(({ lastMs }) => lastMs)),
    resources: reports.reduce((sum, { resources }) => sum + resources, 0),
  };
}
