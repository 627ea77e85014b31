import assert from "node:assert/strict";
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { projectRoot } from "./imports.ts";
import { run } from "./own-network.ts";
import type { Owner } from "./owner.ts";

/*
 * Network namespaces as pods: each has lo and eth0 with an IPv4 and an IPv6 address, and a default route to a namespace between them that
 * forwards as a node does. The machine's own namespace is never touched. A test that needs one namespace for itself has `own-network.ts`.
 */

/** Why a test with namespaces cannot run here; false: it can. */
export function skipWithoutNamespaces(...tools: readonly string[]): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = ["ip", "nsenter", "setpriv", ...tools].filter(
    (tool) => spawnSync(tool, ["--version"]).error !== undefined,
  );
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  const name = `heddle-probe-${process.pid}`;
  const made = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  spawnSync("ip", ["netns", "del", name]);
  return made.status === 0 ? false : `no network namespaces here: ${made.stderr.trim()}`;
}

/** Who a process in a pod is. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** "+net_admin,+net_raw"; undefined: none. */
  readonly capabilities?: string;
}

export const ROOT: Identity = { uid: 0, gid: 0 };

/** Pods that reach each other, and what is between them. */
export class PodNetwork {
  readonly #owner: Owner;
  readonly #prefix = `hd${randomBytes(3).toString("hex")}`;
  readonly #node: string;
  #pods = 0;

  constructor(owner: Owner) {
    this.#owner = owner;
    this.#node = this.#namespace("node");
    for (const words of [
      ["link", "add", "br0", "type", "bridge"],
      ["address", "add", "10.77.0.1/16", "dev", "br0"],
      ["-6", "address", "add", "fd77::1/64", "dev", "br0", "nodad"],
      ["link", "set", "br0", "up"],
    ])
      run("ip", ["-n", this.#node, ...words]);
    for (const key of ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"])
      run("ip", ["netns", "exec", this.#node, "sysctl", "-qw", `${key}=1`]);
  }

  /**
   * A new pod. Nobody listens in it.
   * @param resolvConf what it has as /etc/resolv.conf; by default the machine's.
   */
  pod(name: string, resolvConf?: string): Pod {
    const index = ++this.#pods + 1;
    const namespace = this.#namespace(name);
    if (resolvConf !== undefined) {
      const folder = join("/etc/netns", namespace); // `ip netns exec` puts its files over those of /etc
      mkdirSync(folder, { recursive: true });
      this.#owner.after(() => rmSync(folder, { recursive: true }));
      writeFileSync(join(folder, "resolv.conf"), resolvConf);
    }
    const ipv4 = `10.77.0.${index}`;
    const ipv6 = `fd77::${index.toString(16)}`;
    for (const words of [
      ["-n", this.#node, "link", "add", `v${index}`, "type", "veth", "peer", "name", "eth0", "netns", namespace],
      ["-n", this.#node, "link", "set", `v${index}`, "master", "br0", "up"],
      ["-n", namespace, "address", "add", `${ipv4}/16`, "dev", "eth0"],
      ["-n", namespace, "-6", "address", "add", `${ipv6}/64`, "dev", "eth0", "nodad"],
      ["-n", namespace, "link", "set", "eth0", "up"],
      ["-n", namespace, "route", "add", "default", "via", "10.77.0.1"],
      ["-n", namespace, "-6", "route", "add", "default", "via", "fd77::1"],
    ])
      run("ip", words);
    return new Pod(namespace, ipv4, ipv6, this.#owner);
  }

  #namespace(name: string): string {
    const namespace = `${this.#prefix}-${name}`;
    run("ip", ["netns", "add", namespace]);
    this.#owner.after(() => run("ip", ["netns", "del", namespace])); // its veth and rules go with it
    run("ip", ["-n", namespace, "link", "set", "lo", "up"]);
    return namespace;
  }
}

/** One network namespace. */
export class Pod {
  readonly #owner: Owner;
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;

  constructor(name: string, ipv4: string, ipv6: string, owner: Owner) {
    this.name = name;
    this.ipv4 = ipv4;
    this.ipv6 = ipv6;
    this.#owner = owner;
  }

  /** As CNI names it. */
  get netns(): string {
    return `/run/netns/${this.name}`;
  }

  /** The words before a command that is to run here as somebody. */
  wrap({ uid, gid, capabilities }: Identity = ROOT): readonly string[] {
    const enter = ["ip", "netns", "exec", this.name];
    if (uid === 0 && gid === 0) return enter;
    const caps = capabilities === undefined ? [] : [`--inh-caps=${capabilities}`, `--ambient-caps=${capabilities}`];
    return [...enter, "setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", ...caps, "--"];
  }

  /** Runs a command to its end, as root. Fails the test unless it ends with 0. Returns what it printed. */
  run(tool: string, ...args: readonly string[]): string {
    return run("ip", ["netns", "exec", this.name, tool, ...args]);
  }

  /** Starts a command that the pod's owner ends. */
  spawn(identity: Identity, command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [tool, ...args] = [...this.wrap(identity), ...command];
    const child = spawn(tool!, args, { cwd: projectRoot, ...options });
    const ended = new Promise((resolve) => child.once("close", resolve));
    this.#owner.after(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    return child;
  }

  /** Somebody who listens and dials here when told. */
  agent(identity: Identity): Agent {
    // As text: whoever it is may not be able to read the project.
    const program = readFileSync(join(projectRoot, "test/system/peers/netns_agent.py"), "utf8");
    return new Agent(
      this.spawn(identity, ["/usr/bin/python3", "-u", "-c", program], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
  }
}

/** What a server of an agent has seen of a connection, or why there was none. */
export interface Seen {
  /** The server that was reached. */
  readonly at?: string;
  /** The proxy of the agent's that was on the way. */
  readonly by?: string;
  readonly peer?: readonly [string, number];
  readonly local?: readonly [string, number];
  /** SO_ORIGINAL_DST; null: there is none. */
  readonly original?: readonly [string, number] | null;
  readonly error?: string;
}

/** A process in a pod: test/system/peers/netns_agent.py. */
export class Agent {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Seen) => void>();
  #next = 1;

  constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const { id, answer } = JSON.parse(line) as { id: number; answer: Seen };
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
    child.once("close", () => {
      for (const answer of this.#waiting.values()) answer({ error: "the agent has ended" });
    });
  }

  /** A TCP server on all addresses of both families, or on one. */
  async listen(
    name: string,
    port: number,
    more: { readonly host?: string; readonly transparent?: boolean; readonly from_client?: boolean } = {},
  ): Promise<void> {
    const hosts = more.host === undefined ? ["0.0.0.0", "::"] : [more.host];
    for (const host of hosts) assert.deepEqual(await this.#tell({ listen: name, port, ...more, host }), {});
  }

  /** The same for UDP. */
  async answer(name: string, port: number): Promise<void> {
    for (const host of ["0.0.0.0", "::"]) assert.deepEqual(await this.#tell({ answer: name, host, port }), {});
  }

  connect(
    host: string,
    port: number,
    more: { readonly source?: readonly [string, number]; readonly timeout?: number } = {},
  ): Promise<Seen> {
    return this.#tell({ connect: [host, port], ...more });
  }

  /** A datagram, and the answer to it. */
  ask(
    host: string,
    port: number,
    more: { readonly source?: readonly [string, number]; readonly timeout?: number } = {},
  ): Promise<Seen> {
    return this.#tell({ ask: [host, port], ...more });
  }

  #tell(message: object): Promise<Seen> {
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin!.write(`${JSON.stringify({ id, ...message })}\n`);
    });
  }
}
