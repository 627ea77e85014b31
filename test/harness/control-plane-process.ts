import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { eventually } from "./eventually.ts";
import { projectRoot } from "./imports.ts";
import type { Owner } from "./owner.ts";

/** The control plane's program, on ports of its own that it keeps when it is started again. */
export class ControlPlaneProcess {
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;
  #log = "";
  xdsPort = 0;
  adminPort = 0;
  apiPort = 0;
  /** Of xDS over TLS, where the flags have a trust domain; else 0. */
  tlsPort = 0;

  /** @param flags beyond the addresses. */
  constructor(owner: Owner, flags: readonly string[]) {
    this.#flags = flags;
    owner.after(() => this.kill());
  }

  /** All that it has logged. */
  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    const at = (flag: string, port: number): string[] => [`--${flag}-address`, `127.0.0.1:${port}`];
    const addresses = [...at("xds", this.xdsPort), ...at("admin", this.adminPort), ...at("api", this.apiPort)];
    if (this.#flags.includes("--trust-domain")) addresses.push(...at("xds-tls", this.tlsPort));
    const program = ["--conditions=heddle-src", "--disable-warning=ExperimentalWarning", "control-plane/src/main.ts"];
    const child = spawn(process.execPath, [...program, ...addresses, ...this.#flags], {
      cwd: projectRoot,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    let own = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      own += text;
      this.#log += text;
    });
    await eventually(
      "the control plane is up",
      () => {
        if (child.exitCode !== null) throw new Error(`the control plane ended:\n${own}`);
        const ports = UP.exec(own);
        if (ports === null) return false;
        const [xds, tls, admin, api] = ports.slice(1).map((port) => Number(port ?? 0)) as [
          number,
          number,
          number,
          number,
        ];
        [this.xdsPort, this.tlsPort, this.adminPort, this.apiPort] = [xds, tls, admin, api];
        return true;
      },
      60_000,
    );
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  /** A page of admin. */
  async page(path: string): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.adminPort}${path}`, { headers: { connection: "close" } })).text();
  }

  async status<T>(): Promise<T> {
    return JSON.parse(await this.page("/status")) as T;
  }

  /** Applies documents as one batch, with REST. Gives the status and the answer. */
  async apply(documents: readonly object[]): Promise<{ readonly status: number; readonly body: string }> {
    const response = await fetch(`http://127.0.0.1:${this.apiPort}/v1/resources`, {
      method: "POST",
      headers: { "content-type": "application/yaml", connection: "close" },
      body: documents.map((document) => JSON.stringify(document)).join("\n---\n"),
    });
    return { status: response.status, body: await response.text() };
  }
}

const UP =
  /control plane is up xds=\S+:(\d+)(?: xdsTls=\S+:(\d+) trustDomain=\S+)? admin=http:\/\/\S+:(\d+)\/.* api=\S+:(\d+)/;
