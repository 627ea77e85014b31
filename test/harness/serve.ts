import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { eventually } from "./eventually.ts";
import type { Owner } from "./owner.ts";

/** Runs a server of others; it ends with its owner. Resolves once it accepts on the ports. */
export async function serve(
  owner: Owner,
  ports: readonly number[],
  command: string,
  ...args: string[]
): Promise<ChildProcess> {
  // A group of its own, since some fork for each connection.
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"], detached: true });
  owner.after(async () => {
    const ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
    await ended;
  });
  await eventually(`${command} listens`, async () => {
    assert.equal(child.exitCode, null, `${command} has ended`);
    return (await Promise.all(ports.map(accepts))).every(Boolean);
  });
  return child;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
