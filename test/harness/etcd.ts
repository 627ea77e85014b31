import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import type { Owner } from "./owner.ts";

/** Why tests that need etcd skip; false where it is installed. */
export const noEtcd: string | false =
  spawnSync("etcd", ["--version"]).status === 0 && spawnSync("etcdctl", ["version"]).status === 0
    ? false
    : "etcd-server and etcd-client are not installed";

/** One etcd process, on ports of its own that it keeps when it is started again. */
export interface EtcdMember {
  /** "127.0.0.1:2379" */
  readonly endpoint: string;
  /** Writes what it holds into a file. */
  backup(file: string): void;
  /** Holds what the file holds: of a member alone, between `kill` and `start`. */
  restore(file: string): void;
  start(): void;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Stops it, or lets it go on, without ending it. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
}

/** A running etcd of so many members; `flags` for each. */
export async function startEtcd(
  owner: Owner,
  members = 1,
  flags: readonly string[] = [],
): Promise<readonly EtcdMember[]> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-etcd-"));
  owner.after(() => rmSync(folder, { recursive: true }));
  const ports = await freePorts(2 * members);
  const peerUrl = (i: number): string => `http://127.0.0.1:${ports[2 * i + 1]}`;
  const initialCluster = Array.from({ length: members }, (_, i) => `m${i}=${peerUrl(i)}`).join();
  const scheme = flags.includes("--cert-file") ? "https" : "http";
  const started = Array.from({ length: members }, (_, i): EtcdMember => {
    const clientUrl = `${scheme}://127.0.0.1:${ports[2 * i]}`;
    const argv = ["--name", `m${i}`, "--data-dir", join(folder, `m${i}`)];
    argv.push("--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl);
    argv.push("--listen-peer-urls", peerUrl(i), "--initial-advertise-peer-urls", peerUrl(i));
    argv.push("--initial-cluster", initialCluster, "--log-level", "error", ...flags);
    argv.push("--heartbeat-interval", "100", "--election-timeout", "1000");
    let child: ChildProcess | undefined;
    const kill = async (signal: NodeJS.Signals): Promise<void> => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, "exit");
      child.kill(signal);
      await exit;
    };
    owner.after(() => kill("SIGKILL"));
    return {
      endpoint: `127.0.0.1:${ports[2 * i]}`,
      backup: (file) => {
        const { ok, output } = etcdctl(`127.0.0.1:${ports[2 * i]}`, "snapshot", "save", file);
        if (!ok) throw new Error(output);
      },
      restore: (file) => {
        const place = join(folder, `m${i}`);
        rmSync(place, { recursive: true });
        const words = ["--name", `m${i}`, "--data-dir", place, "--initial-cluster", initialCluster];
        const { ok, output } = etcdctl(
          "",
          "snapshot",
          "restore",
          file,
          ...words,
          "--initial-advertise-peer-urls",
          peerUrl(i),
        );
        if (!ok) throw new Error(output);
      },
      start: () => {
        child = spawn("etcd", argv, { stdio: "ignore" });
      },
      kill,
      signal: (signal) => void child?.kill(signal),
    };
  });
  for (const member of started) member.start();
  if (scheme === "http")
    for (const { endpoint } of started)
      await eventually(`etcd ${endpoint} is healthy`, () => etcdctl(endpoint, "endpoint", "health").ok, 30_000);
  return started;
}

export function etcdctl(
  endpoint: string,
  ...words: readonly string[]
): { readonly ok: boolean; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(
    "etcdctl",
    [...(endpoint === "" ? [] : ["--endpoints", endpoint]), ...words],
    {
      encoding: "utf8",
      env: { ...process.env, ETCDCTL_API: "3" },
    },
  );
  return { ok: status === 0, output: status === 0 ? stdout : stderr };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}
