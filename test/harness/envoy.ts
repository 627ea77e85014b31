import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { envoyProgram } from "../../scripts/envoy-server.ts";
import { eventually } from "./eventually.ts";
import type { Owner } from "./owner.ts";
import { scratchFolder } from "./sidecar.ts";

/** For node:test's `skip`. */
export const skipWithoutEnvoy = !existsSync(envoyProgram) && "not installed: Envoy (npm run test:system fetches it)";

/** A real Envoy as its own process, read by its admin. */
export interface EnvoyProcess {
  /** A page of admin. */
  page(path: string): Promise<string>;
  /** Where a listener really listens. */
  port(listener: string): Promise<number>;
  /** A line of /stats; 0 where it is not there. */
  stat(name: string): Promise<number>;
  /** Clusters and listeners that wait for what they refer to, by name. */
  warming(): Promise<readonly string[]>;
  /** All that it has logged. */
  readonly log: string;
}

/** Starts Envoy with a bootstrap, to which admin is added; it ends with its owner. Resolves once it is initialized. */
export async function startEnvoy(bootstrap: object, owner: Owner): Promise<EnvoyProcess> {
  const folder = scratchFolder(owner);
  const [config, adminFile] = [join(folder, "envoy.json"), join(folder, "admin")];
  const admin = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };
  writeFileSync(config, JSON.stringify({ ...bootstrap, admin }));
  const flags = ["-c", config, "--admin-address-path", adminFile, "--use-dynamic-base-id", "--concurrency", "2"];
  // What drains is asked to leave with the next answer, and not by chance some day within the drain time.
  flags.push("--drain-time-s", "2", "--drain-strategy", "immediate", "-l", "warning");
  const child = spawn(envoyProgram, flags, { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  owner.after(async () => {
    child.kill("SIGTERM");
    const force = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(force);
  });
  const envoy: EnvoyProcess = {
    async page(path) {
      const address = readFileSync(adminFile, "utf8");
      return (await fetch(`http://${address}${path}`, { headers: { connection: "close" } })).text();
    },
    async port(listener) {
      const line = (await envoy.page("/listeners")).split("\n").find((text) => text.startsWith(`${listener}::`));
      assert.ok(line !== undefined, `${listener} listens; the log:\n${log}`);
      return Number(line.slice(line.lastIndexOf(":") + 1));
    },
    async stat(name) {
      const line = (await envoy.page("/stats")).split("\n").find((text) => text.startsWith(`${name}: `));
      return line === undefined ? 0 : Number(line.slice(name.length + 2));
    },
    async warming() {
      const dump = JSON.parse(await envoy.page("/config_dump")) as { readonly configs: readonly Dump[] };
      return dump.configs.flatMap(({ dynamic_warming_clusters: clusters = [], dynamic_listeners: listeners = [] }) => [
        ...clusters.map(({ cluster }) => cluster.name),
        ...listeners.filter(({ warming_state }) => warming_state !== undefined).map(({ name }) => name),
      ]);
    },
    get log() {
      return log;
    },
  };
  await eventually(
    "Envoy is initialized",
    async () => {
      assert.equal(child.exitCode, null, `Envoy has ended:\n${log}`);
      return existsSync(adminFile) && (await envoy.page("/ready").catch(() => "")) === "LIVE\n";
    },
    30_000,
  );
  return envoy;
}

/** Of /config_dump, what can be seen to warm. */
interface Dump {
  readonly dynamic_warming_clusters?: readonly { readonly cluster: { readonly name: string } }[];
  readonly dynamic_listeners?: readonly { readonly name: string; readonly warming_state?: unknown }[];
}
