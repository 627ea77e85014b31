import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { NODE_FLAGS } from "@heddle/control-plane/node-flags";
import { freePort } from "../path/peer.ts";
import { cpuMs } from "./process-cost.ts";

/** Long enough for a mesh of 10,000 workloads to be read. */
const READY_MS = 120_000;

/** A control plane of its own process. */
export class ControlPlaneProcess {
  /** Where sidecars connect: by TLS, where it has an authority. */
  readonly port: number;
  readonly #adminPort: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number, adminPort: number) {
    this.#process = process;
    this.port = port;
    this.#adminPort = adminPort;
  }

  /** Resolves when it serves what is in the folder. `nodeOptions` go before the entry, `flags` behind it. */
  static async start(
    entry: string,
    folder: string,
    nodeOptions: readonly string[],
    flags: readonly string[],
  ): Promise<ControlPlaneProcess> {
    const [port, plainPort, adminPort] = [await freePort(), await freePort(), await freePort()];
    const conditions = entry.endsWith(".ts") ? ["--conditions=heddle-src"] : [];
    const isTls = flags.includes("--trust-domain");
    const plain = `127.0.0.1:${isTls ? plainPort : port}`;
    const addresses = ["--xds-address", plain, "--admin-address", `127.0.0.1:${adminPort}`];
    if (isTls) addresses.push("--xds-tls-address", `127.0.0.1:${port}`);
    const child = spawn(
      process.execPath,
      [
        ...conditions,
        ...NODE_FLAGS,
        ...nodeOptions,
        entry,
        "--config",
        folder,
        "--log-level",
        "error",
        ...addresses,
        ...flags,
      ],
      { stdio: ["pipe", "ignore", "inherit"] },
    );
    const started = new ControlPlaneProcess(child, port, adminPort);
    const deadlineMs = performance.now() + READY_MS;
    while (!(await started.#isReady())) {
      if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error("the control plane did not start");
      await sleep(50);
    }
    return started;
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** Resolves when it has next to nothing left to do, or when that does not come. */
  async quiet(): Promise<void> {
    const [windowMs, allowedMs, windows] = [300, 10, 30];
    let before = cpuMs(this.pid);
    for (let window = 0; window < windows; window += 1) {
      await sleep(windowMs);
      const now = cpuMs(this.pid);
      if (now - before < allowedMs) return;
      before = now;
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    const force = setTimeout(() => this.#process.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(force);
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.#adminPort}/ready`, { headers: { connection: "close" } })).ok;
    } catch {
      return false;
    }
  }
}
