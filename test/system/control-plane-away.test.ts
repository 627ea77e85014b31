import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { adsBootstrap } from "../harness/control-plane.ts";
import { eventually } from "../harness/eventually.ts";
import { ForeignControlPlane } from "../harness/foreign-control-plane.ts";
import { Gate } from "../harness/gate.ts";
import { startLoad } from "../harness/load.ts";
import { startMesh } from "../harness/mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { serve } from "../harness/serve.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";
import { answersAre, swappedWorld } from "../harness/swapped-world.ts";

/** Within which a sidecar is connected again once its control plane can be reached. */
const RECONNECT_MS = 30_000;

/** Within which a control plane that says nothing any more is given up: one interval of pings, and their timeout. */
const NOTICE_MS = 40_000;

describe("a control plane that is away loses no request, and is followed when it is back", {
  concurrency: true,
}, () => {
  test("hung: stopped with SIGSTOP for longer than it takes to notice, then continued", async (t) => {
    const mesh = await startMesh("examples/shop", t);
    const { controlPlane, workloads } = mesh.addresses;
    const web = workloads.find(({ name }) => name === "web");
    assert.ok(web);
    const load = startLoad(web.url, 4, t);
    const connected = async (): Promise<boolean> =>
      /"state": ?"connected"/.test(await (await fetch(`http://127.0.0.1:${web.adminPort}/inspect`)).text());
    assert.ok(await connected());
    process.kill(controlPlane.pid, "SIGSTOP");
    try {
      await eventually("the sidecar has noticed", async () => !(await connected()), NOTICE_MS);
    } finally {
      process.kill(controlPlane.pid, "SIGCONT");
    }
    await eventually("the sidecar is connected again", connected, RECONNECT_MS);
    const file = join(mesh.folder, "shop.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace("weight: 90", "weight: 0"));
    await eventually(
      "a change is in force",
      () => load.recent.slice(-50).every((body) => body.includes('"version":"v2"')),
      RECONNECT_MS,
    );
    const { requests, failures } = await load.stop();
    t.diagnostic(`${requests} requests`);
    assert.deepEqual([...failures], []);
  });

  for (const variant of ["sotw", "delta"] as const) {
    test(`hung (${variant}): connections stay, new ones are accepted, and nobody says anything`, async (t) => {
      const owner = lastFirst(t);
      const peers = await Peers.start(owner);
      const controlPlane = await ForeignControlPlane.start(owner, { variant, world: peers.world("a") });
      const gate = await Gate.start(owner, controlPlane.port);
      const sidecar = await startSidecar(adsBootstrap(gate.port, variant), owner);
      await peers.survives(sidecar, controlPlane, {
        away() {
          gate.fault = () => undefined;
          gate.freeze();
        },
        back() {
          gate.fault = undefined;
        },
      });
    });
  }

  const skip = reasonAgainstPartitions();
  test("partitioned: the link to it is down for longer than it takes to notice", { skip }, async (t) => {
    const owner = lastFirst(t);
    const link = makeLink(owner);
    const peers = await Peers.start(owner);
    // A socket in the file system is the same on both sides of a network namespace.
    const socket = join(scratchFolder(owner), "xds.sock");
    const controlPlane = await ForeignControlPlane.start(owner, {
      variant: "delta",
      world: peers.world("a"),
      address: `unix:${socket}`,
    });
    const listens = `TCP-LISTEN:15010,bind=${link.farAddress},fork,reuseaddr`;
    await serve(owner, [], "ip", "netns", "exec", link.namespace, "socat", listens, `UNIX-CONNECT:${socket}`);
    const bootstrap = JSON.stringify(adsBootstrap(15_010, "delta")).replaceAll("127.0.0.1", link.farAddress);
    const sidecar = await startSidecar(JSON.parse(bootstrap) as object, owner);
    await peers.survives(sidecar, controlPlane, { away: () => link.set("down"), back: () => link.set("up") });
  });
});

/** What answers requests, and what is asked of a sidecar while its control plane is away. */
class Peers {
  readonly #owner: Owner;
  readonly #upstreams: Readonly<Record<"a" | "b", RawUpstream>>;

  static async start(owner: Owner): Promise<Peers> {
    const [a, b] = [await RawUpstream.listen(owner), await RawUpstream.listen(owner)];
    a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
    b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
    return new Peers(owner, { a, b });
  }

  private constructor(owner: Owner, upstreams: Readonly<Record<"a" | "b", RawUpstream>>) {
    this.#owner = owner;
    this.#upstreams = upstreams;
  }

  world(to: "a" | "b") {
    return swappedWorld({ to: "first", endpoints: { first: [this.#upstreams[to]] } });
  }

  async survives(
    sidecar: SidecarProcess,
    controlPlane: ForeignControlPlane,
    { away, back }: { readonly away: () => void; readonly back: () => void },
  ): Promise<void> {
    const load = startLoad(`http://127.0.0.1:${await sidecar.port("in")}/`, 2, this.#owner);
    this.#owner.after(() => load.stop()); // or a failed test would never end
    const isConnected = async (): Promise<boolean> => (await sidecar.stat("control_plane.connected_state")) === 1;
    await answersAre(load, "a");
    const { length } = controlPlane.streams;
    away();
    await eventually("the sidecar has noticed", async () => !(await isConnected()), NOTICE_MS);
    controlPlane.set(this.world("b"));
    const { count } = load;
    await eventually("requests are answered", () => load.count > count + 100);
    back();
    await eventually("it is connected again", () => controlPlane.streams.length > length, RECONNECT_MS);
    await answersAre(load, "b");
    assert.deepEqual([...(await load.stop()).failures], []);
  }
}

function reasonAgainstPartitions(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  for (const program of ["ip", "socat"])
    if (spawnSync("which", [program]).status !== 0) return `not installed: ${program}`;
  const probe = `heddle-probe-${process.pid}`;
  if (spawnSync("ip", ["netns", "add", probe]).status !== 0) return "network namespaces cannot be made here";
  spawnSync("ip", ["netns", "delete", probe]);
  return false;
}

/** A network namespace at the other end of a link, which goes with its owner. */
function makeLink(owner: Owner) {
  const id = process.pid % 10_000;
  const namespace = `heddle-${id}`;
  const [near, far] = [`hd${id}a`, `hd${id}b`];
  // Of the block for benchmarks (RFC 2544), which is nobody's.
  const subnet = `198.18.${id % 250}`;
  const ip = (...args: string[]): void => {
    const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
    assert.equal(status, 0, `ip ${args.join(" ")}: ${stderr}`);
  };
  ip("netns", "add", namespace);
  owner.after(() => ip("netns", "delete", namespace));
  ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace);
  ip("address", "add", `${subnet}.1/30`, "dev", near);
  ip("link", "set", near, "up");
  ip("-n", namespace, "address", "add", `${subnet}.2/30`, "dev", far);
  ip("-n", namespace, "link", "set", far, "up");
  return {
    namespace,
    farAddress: `${subnet}.2`,
    /** Its far end, so that what is near goes on sending. */
    set: (state: "up" | "down") => ip("-n", namespace, "link", "set", far, state),
  };
}
