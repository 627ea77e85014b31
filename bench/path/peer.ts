import { type ChildProcess, spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { NODE_ENVIRONMENT } from "@heddle/sidecar";

/** A proxy under test: listens on `port` and forwards everything to one upstream. */
export interface Peer {
  readonly name: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** From start to the first accepted connection. */
  readonly readyMs: number;
  /** The second of two in a row, whose CPU counts as well. */
  readonly behind?: Peer;
}

export async function start(name: string, port: number, [command, ...args]: readonly string[]): Promise<Peer> {
  const began = performance.now();
  const child = spawn(command!, args, {
    stdio: ["pipe", "ignore", "inherit"],
    // Not the authorities that this shell has for its own downloads: Node reads all of them while it starts.
    env: { ...NODE_ENVIRONMENT, ...process.env, NODE_EXTRA_CA_CERTS: undefined },
  });
  let exited: string | undefined;
  child.once("error", (error) => (exited = error.message));
  child.once("exit", (code, signal) => (exited = `ended with ${code ?? signal}`));
  while (!(await accepts(port))) {
    if (exited !== undefined) throw new Error(`${name} ${exited}`);
    if (performance.now() - began > 15_000) {
      child.kill("SIGKILL"); // nobody else knows of it
      throw new Error(`${name} does not listen on ${port} after 15 s`);
    }
    await sleep(5);
  }
  return { name, port, process: child, readyMs: performance.now() - began };
}

export async function stop(peer: Peer): Promise<void> {
  if (peer.behind !== undefined) await stop(peer.behind);
  if (peer.process.exitCode !== null || peer.process.signalCode !== null) return;
  const ended = new Promise((resolve) => peer.process.once("exit", resolve));
  peer.process.kill("SIGTERM");
  const force = setTimeout(() => peer.process.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(force);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
