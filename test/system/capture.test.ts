import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { projectRoot } from "../harness/imports.ts";
import { type Agent, type Pod, PodNetwork, ROOT, type Seen, skipWithoutNamespaces } from "../harness/net-namespace.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/*
 * `heddle capture` in network namespaces, before servers that say where a connection has come out: the application, one of the sidecar's
 * ports, or another pod. One contract for every backend, both modes and both families of addresses.
 */

const skip = skipWithoutNamespaces("nft", "iptables", "iptables-legacy", "/usr/bin/python3");
const HEDDLE = join(projectRoot, "packages/cli/bin/heddle.mjs");

const APP = { uid: 1000, gid: 1000, capabilities: "+net_bind_service" };
/** Port 53, and sockets that are transparent. */
const SIDECAR = { uid: 1337, gid: 1337, capabilities: "+net_admin,+net_bind_service" };
/** Addresses for documentation: whoever is answered was captured. */
const NOBODY = { ipv4: "192.0.2.1", ipv6: "2001:db8::1" } as const;
/** Second addresses of the other pod, within blocks that are excluded. */
const EXCLUDED = { ipv4: "10.77.99.9", ipv6: "fd77:0:0:99::9" } as const;
const LOOPBACK = { ipv4: "127.0.0.1", ipv6: "::1" } as const;
const SOURCE = { ipv4: "127.0.0.6", ipv6: "::6" } as const;
const UNREACHED_S = 0.4;

/** Begins a connection to whatever address, at the neighbour of a hardware address, and says whether that took it. */
const SPOOFED_SYN = `
import random, select, socket, struct, sys, time
mac, source, address, port, wait = sys.argv[1:]
words = lambda b: struct.unpack("!%dH" % (len(b) // 2), b)
def checksum(b):
    total = sum(words(b))
    while total > 0xffff: total = (total >> 16) + (total & 0xffff)
    return struct.pack("!H", ~total & 0xffff)
addresses = socket.inet_aton(source) + socket.inet_aton(address)
client = random.randrange(1024, 32768) # of the kernel's own choice none
tcp = struct.pack("!HHIIBBHHH", client, int(port), 1, 0, 5 << 4, 2, 65535, 0, 0)
tcp = tcp[:16] + checksum(addresses + struct.pack("!BBH", 0, 6, len(tcp)) + tcp) + tcp[18:]
ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + addresses
ip = ip[:10] + checksum(ip) + ip[12:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind(("eth0", 0))
own = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
wire.send(bytes.fromhex(mac.replace(":", "")) + own + b"\\x08\\x00" + ip + tcp)
end = time.monotonic() + (10 if address != "127.0.0.1" else float(wait))
answer = "silence"
while answer == "silence" and select.select([wire], [], [], max(0, end - time.monotonic()))[0]:
    frame = wire.recv(65536)
    if len(frame) >= 54 and frame[23] == 6 and frame[36:38] == struct.pack("!H", client) and frame[47] == 0x12: answer = "answered"
print(answer)
`;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function capture(pod: Pod, ...args: readonly string[]): Ended {
  return spawnSync(process.execPath, [HEDDLE, "capture", "--netns", pod.netns, ...args], { encoding: "utf8" });
}

function captured(pod: Pod, ...args: readonly string[]): void {
  const { status, stdout, stderr } = capture(pod, ...args);
  assert.equal(status, 0, `${stdout}${stderr}`);
}

/** Everything of rules and routes that any tool shows of a pod, without the time of day and what passes with time. */
function stateOf(pod: Pod): string {
  const commands = [
    ["nft", "list", "ruleset"],
    ["iptables-legacy-save"],
    ["ip6tables-legacy-save"],
    ["ip", "rule"],
    ["ip", "-6", "rule"],
    ["ip", "route", "show", "table", "all"],
    ["ip", "-6", "route", "show", "table", "all"],
    ["ip", "address", "show", "dev", "lo"],
  ];
  return commands
    .map(([tool, ...args]) => spawnSync("ip", ["netns", "exec", pod.name, tool!, ...args], { encoding: "utf8" }).stdout)
    .join("\n")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/^.* fe80::.*\n/gm, "") // comes some time after the interface
    .replaceAll(/counter packets \d+ bytes \d+/g, "counter")
    .replaceAll(/\[\d+:\d+\]/g, "");
}

/** A captured pod with an application and servers on the sidecar's ports, and another pod. */
class World {
  readonly pod: Pod;
  readonly other: Pod;
  readonly app: Agent;
  readonly sidecar: Agent;
  readonly peer: Agent;
  readonly resolvConf: string;

  constructor(owner: { after(end: () => unknown): void }) {
    const network = new PodNetwork(owner);
    this.pod = network.pod("a");
    this.other = network.pod("b");
    for (const [pod, flag] of [
      [this.other, "-4"],
      [this.other, "-6"],
    ] as const) {
      const address = flag === "-4" ? `${EXCLUDED.ipv4}/32` : `${EXCLUDED.ipv6}/128`;
      pod.run("ip", flag, "address", "add", address, "dev", "eth0", ...(flag === "-6" ? ["nodad"] : []));
      this.pod.run("ip", flag, "route", "add", address, "dev", "eth0");
    }
    this.app = this.pod.agent(APP);
    this.sidecar = this.pod.agent(SIDECAR);
    this.peer = this.other.agent(ROOT);
    const folder = scratchFolder(owner);
    this.resolvConf = join(folder, "resolv.conf");
    writeFileSync(this.resolvConf, `nameserver ${this.other.ipv4}\nnameserver ${this.other.ipv6}\n`);
  }

  async listen(mode: "redirect" | "tproxy"): Promise<void> {
    await Promise.all([
      this.app.listen("app", 8080),
      this.app.listen("app", 8081),
      this.sidecar.listen("outbound", 15_001),
      this.sidecar.listen("inbound", 15_006, { transparent: mode === "tproxy" }),
      this.sidecar.listen("metrics", 15_020),
      this.sidecar.listen("dns", 15_053),
      this.sidecar.answer("dns", 15_053),
      this.peer.listen("peer", 80),
      this.peer.listen("peer", 5432),
      this.peer.listen("peer", 6005),
      this.peer.listen("server", 53),
      this.peer.answer("server", 53),
      this.peer.answer("peer", 54),
    ]);
  }
}

for (const backend of ["nft", "iptables-nft", "iptables-legacy"] as const) {
  for (const mode of ["redirect", "tproxy"] as const) {
    describe(`capture by ${backend}, ${mode}`, { skip }, () => {
      const owner = lastFirst({ after });
      let world: World;
      let untouched = "";
      let flags: readonly string[] = [];

      before(async () => {
        world = new World(owner);
        untouched = stateOf(world.pod);
        flags = [
          `--mode=${mode}`,
          `--backend=${backend}`,
          `--resolv-conf=${world.resolvConf}`,
          "--exclude-inbound-ports=8081",
          "--exclude-outbound-ports=5432,6000-6010",
          "--exclude-outbound-cidrs=10.77.99.0/24,fd77:0:0:99::/64",
        ];
        captured(world.pod, ...flags);
        await world.listen(mode);
      });

      for (const family of ["ipv4", "ipv6"] as const) {
        describe(family, () => {
          test("what others send to the application reaches the sidecar, which sees who sent it and where to", async () => {
            const { pod, other, peer } = world;
            const seen = await peer.connect(pod[family], 8080);
            assert.equal(seen.at, "inbound");
            assert.equal(seen.peer?.[0], other[family]);
            assert.deepEqual(mode === "tproxy" ? seen.local : seen.original, [pod[family], 8080]);
          });

          test("excluded inbound ports and the sidecar's own doors are reached directly", async () => {
            const { pod, peer } = world;
            assert.equal((await peer.connect(pod[family], 8081)).at, "app");
            assert.equal((await peer.connect(pod[family], 15_020)).at, "metrics");
          });

          test("the ports for what is captured are closed to whoever dials them from outside", async () => {
            const { pod, peer } = world;
            const tries = [15_001, 15_006, 15_053].map((port) =>
              peer.connect(pod[family], port, { timeout: UNREACHED_S }),
            );
            for (const seen of await Promise.all([...tries, peer.ask(pod[family], 15_053, { timeout: UNREACHED_S })]))
              assert.match(seen.error ?? "", /timed out|TimeoutError/, JSON.stringify(seen));
          });

          // As kube-proxy once let neighbours in (CVE-2020-8558): a redirected packet is no longer for 127.0.0.1 when the kernel looks.
          if (family === "ipv4")
            test("CVE-2020-8558: a neighbour that sends to 127.0.0.1 is not taken for somebody who meant the application", () => {
              const { pod, other } = world;
              const mac = pod.run("cat", "/sys/class/net/eth0/address").trim();
              const dial = (address: string): string =>
                other.run("/usr/bin/python3", "-c", SPOOFED_SYN, mac, other.ipv4, address, "8080", String(UNREACHED_S));
              assert.equal(dial(pod.ipv4).trim(), "answered");
              assert.equal(dial(LOOPBACK.ipv4).trim(), "silence");
            });

          test("what the application sends reaches the sidecar, which is told where it was to go", async () => {
            const seen = await world.app.connect(NOBODY[family], 443);
            assert.equal(seen.at, "outbound");
            assert.deepEqual(seen.original, [NOBODY[family], 443]);
          });

          test("excluded outbound ports, ranges of them and addresses are not captured", async () => {
            const { app, other } = world;
            assert.equal((await app.connect(other[family], 5432)).at, "peer");
            assert.equal((await app.connect(other[family], 6005)).at, "peer");
            assert.equal((await app.connect(EXCLUDED[family], 80)).at, "peer");
            assert.equal((await app.connect(other[family], 80)).at, "outbound");
          });

          test("what the sidecar's user sends goes out, and what its group does", async () => {
            const { sidecar, other, pod } = world;
            assert.equal((await sidecar.connect(other[family], 80)).at, "peer");
            const ofItsGroup = pod.agent({ uid: 1001, gid: 1337 });
            assert.equal((await ofItsGroup.connect(other[family], 80)).at, "peer");
            assert.equal((await pod.agent({ uid: 0, gid: 0 }).connect(other[family], 80)).at, "outbound");
          });

          test("the application reaches itself, on loopback and at the pod's own address", async () => {
            const { app, pod } = world;
            assert.equal((await app.connect(LOOPBACK[family], 8080)).at, "app");
            assert.equal((await app.connect(pod[family], 8080)).at, "app");
          });

          test("the sidecar reaches the application on loopback, and at the pod's address from the address for it", async () => {
            const { sidecar, pod } = world;
            assert.equal((await sidecar.connect(LOOPBACK[family], 8080)).at, "app");
            const seen = await sidecar.connect(pod[family], 8080, { source: [SOURCE[family], 0] });
            assert.equal(seen.at, "app");
            assert.equal(seen.peer?.[0], SOURCE[family]);
          });

          test("what the sidecar sends to its own pod, for the application, comes in like anybody else's", async () => {
            const { sidecar, pod } = world;
            const seen = await sidecar.connect(pod[family], 8080);
            assert.equal(seen.at, "inbound");
            assert.deepEqual(mode === "tproxy" ? seen.local : seen.original, [pod[family], 8080]);
            assert.equal((await sidecar.connect(pod[family], 8081)).at, "app");
          });

          test("questions to the servers of resolv.conf reach the sidecar by UDP and TCP, and its own reach the server", async () => {
            const { app, sidecar, other } = world;
            assert.equal((await app.ask(other[family], 53)).at, "dns");
            assert.equal((await app.connect(other[family], 53)).at, "dns");
            assert.equal((await sidecar.ask(other[family], 53)).at, "server");
            assert.equal((await sidecar.connect(other[family], 53)).at, "server");
            assert.equal((await app.ask(other[family], 54)).at, "peer");
          });

          test("a question of the sidecar from the port that the application has just asked from is not turned back to it", async () => {
            const { app, sidecar, other } = world;
            const source = [family === "ipv4" ? "0.0.0.0" : "::", family === "ipv4" ? 23_456 : 23_457] as const;
            assert.equal((await app.ask(other[family], 53, { source })).at, "dns");
            assert.equal((await sidecar.ask(other[family], 53, { source })).at, "server");
          });

          if (mode === "tproxy") {
            test("a sidecar that dials from the client's address shows that to the application, which is answered through it", async () => {
              const { sidecar, pod, other, peer } = world;
              const port = family === "ipv4" ? 15_106 : 15_107;
              captured(pod, ...flags, `--inbound-port=${port}`);
              await sidecar.listen("proxy", port, {
                host: family === "ipv4" ? "0.0.0.0" : "::",
                transparent: true,
                from_client: true,
              });
              const seen = await peer.connect(pod[family], 8080);
              const own = await sidecar.connect(pod[family], 8080);
              captured(pod, ...flags);
              assert.deepEqual([own.by, own.at, own.peer?.[0]], ["proxy", "app", pod[family]], JSON.stringify(own));
              assert.deepEqual(
                [seen.by, seen.at, seen.peer?.[0]],
                ["proxy", "app", other[family]],
                JSON.stringify(seen),
              );
            });
          }
        });
      }

      test("a second run changes nothing, and --verify says that these rules are in force and others are not", () => {
        const before = stateOf(world.pod);
        captured(world.pod, ...flags);
        assert.equal(stateOf(world.pod), before);
        captured(world.pod, ...flags, "--verify");
        const { status, stderr } = capture(world.pod, "--verify", `--mode=${mode}`);
        assert.equal(status, 1);
        assert.match(stderr, /of other settings|is missing|is not of these settings/);
      });

      test("--undo leaves the namespace as it was, also the second time", async () => {
        captured(world.pod, "--undo");
        assert.equal(withoutEmptyTables(stateOf(world.pod)), withoutEmptyTables(untouched));
        captured(world.pod, "--undo");
        assert.equal((await world.app.connect(world.other.ipv4, 80)).at, "peer");
        assert.equal((await world.peer.connect(world.pod.ipv6, 8080)).at, "app");
      });
    });
  }
}

/** iptables makes tables and built-in chains by looking at them, and nobody can take them away. */
function withoutEmptyTables(state: string): string {
  return state
    .replaceAll(/\tchain [A-Z]+ \{\n\t\ttype [^\n]*\n\t\}\n\n?/g, "")
    .replaceAll(/table (ip|ip6) \w+ \{\n\}\n/g, "")
    .replaceAll(/^\*\w+\n(?::[A-Z]+ ACCEPT \n)+COMMIT\n/gm, "");
}

describe("capture, whichever the backend", { skip }, () => {
  const owner = lastFirst({ after });
  const network = skip === false ? new PodNetwork(owner) : undefined;

  test("rules of another backend are taken over, not set a second time", () => {
    const pod = network!.pod("c");
    captured(pod, "--backend=iptables-legacy", "--mode=tproxy");
    captured(pod, "--backend=iptables-nft", "--mode=tproxy");
    assert.doesNotMatch(pod.run("iptables-legacy-save"), /HEDDLE/);
    captured(pod, "--backend=nft");
    assert.doesNotMatch(pod.run("iptables-nft-save"), /HEDDLE/);
    assert.doesNotMatch(pod.run("ip", "rule"), /fwmark/);
    assert.match(capture(pod, "--undo").stdout, /rules of nft are gone/);
    assert.match(capture(pod, "--undo").stdout, /there were no rules/);
  });

  test("other people's rules stay where they are", () => {
    const pod = network!.pod("d");
    pod.run("nft", "add table inet heddle2; add chain inet heddle2 x");
    pod.run("iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-d", "10.9.9.9/32", "-j", "ACCEPT");
    for (const backend of ["nft", "iptables-legacy"]) captured(pod, `--backend=${backend}`);
    captured(pod, "--undo");
    assert.match(pod.run("nft", "list", "ruleset"), /table inet heddle2/);
    assert.match(pod.run("iptables-legacy-save"), /-A OUTPUT -d 10.9.9.9\/32 -j ACCEPT/);
  });

  test("a rule that somebody has taken away is told by --verify, and mended by the next run", () => {
    const pod = network!.pod("e");
    captured(pod);
    const handle = /comment "the sidecar's user" # handle (\d+)/.exec(
      pod.run("nft", "-a", "list", "chain", "inet", "heddle", "output"),
    )?.[1];
    pod.run("nft", "delete", "rule", "inet", "heddle", "output", "handle", handle!);
    const { status, stderr } = capture(pod, "--verify");
    assert.equal(status, 1);
    assert.match(stderr, /the rule "output: the sidecar's user" is missing/);
    captured(pod);
    captured(pod, "--verify");
    pod.run("ip", "-6", "address", "del", "::6/128", "dev", "lo");
    assert.match(capture(pod, "--verify").stderr, /"ip -6 address add ::6\/128 dev lo" is not in force/);
  });

  test("without NET_ADMIN the tool, what it said and the missing capability are told", () => {
    const pod = network!.pod("f");
    const [tool, ...args] = pod.wrap({ uid: 1000, gid: 1000 });
    const { status, stderr } = spawnSync(tool!, [...args, process.execPath, HEDDLE, "capture", "--backend=nft"], {
      encoding: "utf8",
    });
    assert.equal(status, 1);
    assert.match(stderr, /^heddle capture: nft list tables: .*not permitted/m);
    assert.match(stderr, /NET_ADMIN/);
  });

  for (const flags of [
    [],
    [
      "--backend=iptables-legacy",
      "--mode=tproxy",
      "--exclude-outbound-ports=80",
      "--include-outbound-cidrs=10.0.0.0/8,fd00::/8",
    ],
    ["--exclude-outbound-ports=*"],
  ])
    test(`--check tells without any capability whether traffic is captured, and waits until it is: ${flags.join(" ")}`, async () => {
      const pod = network!.pod(`check${flags.length}`);
      const words = flags.filter((flag) => !flag.startsWith("--backend"));
      const uid = flags[0] === "--exclude-outbound-ports=*" ? 1337 : 65_534;
      const check = (...more: string[]) =>
        pod.spawn({ uid, gid: uid }, [process.execPath, HEDDLE, "capture", "--check", ...words, ...more], {
          stdio: ["ignore", "pipe", "pipe"],
        });
      const endOf = async (child: ChildProcess): Promise<readonly [number | null, string]> => {
        let printed = "";
        for (const stream of [child.stdout, child.stderr])
          stream?.setEncoding("utf8").on("data", (more: string) => (printed += more));
        const [status] = (await once(child, "close")) as [number | null];
        return [status, printed];
      };
      const [status, why] = await endOf(check("--timeout=0s"));
      assert.equal(status, 126, why);
      assert.match(why, /does not arrive at port 150\d\d: the rules of capture are not in force/);
      const waiting = endOf(check("--timeout=60s"));
      captured(pod, ...flags);
      assert.deepEqual(await waiting, [0, "what is sent from here is captured (ipv4 and ipv6)\n"]);
      if (flags.length > 0) return;
      pod.run("nft", "insert rule inet heddle output meta nfproto ipv6 return");
      const [half, told] = await endOf(check("--timeout=0s"));
      assert.deepEqual([half, /2001:db8::1 port 80 does not arrive/.test(told)], [126, true], told);
    });

  test("a namespace with IPv6 switched off is captured all the same, with a warning", () => {
    const pod = network!.pod("g");
    pod.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1");
    const { status, stderr } = capture(pod);
    assert.equal(status, 0);
    assert.match(stderr, /warning: IPv6 is switched off in this namespace/);
    captured(pod, "--ipv6=off");
    assert.match(pod.run("nft", "list", "tables"), /^table ip heddle$/m);
  });

  test("a namespace that is not there is named by nsenter, and nothing has happened", () => {
    const { status, stderr } = spawnSync(process.execPath, [HEDDLE, "capture", "--netns=/run/netns/nowhere"], {
      encoding: "utf8",
    });
    assert.equal(status, 1);
    assert.match(stderr, /nsenter: cannot open \/run\/netns\/nowhere/);
  });

  test("an application may choose which of its ports are captured, and everything is dropped by no rule", async () => {
    const pod = network!.pod("h");
    captured(
      pod,
      "--include-inbound-ports=80",
      "--include-outbound-ports=443",
      "--include-outbound-cidrs=192.0.2.0/24",
      "--capture-dns=false",
    );
    const sidecar = pod.agent(SIDECAR);
    const app = pod.agent(APP);
    const peer = network!.pod("i").agent(ROOT);
    await Promise.all([
      app.listen("app", 81),
      app.listen("app", 80),
      sidecar.listen("inbound", 15_006),
      sidecar.listen("outbound", 15_001),
    ]);
    const at = async (seen: Promise<Seen>): Promise<string | undefined> => (await seen).at;
    assert.equal(await at(peer.connect(pod.ipv4, 80)), "inbound");
    assert.equal(await at(peer.connect(pod.ipv6, 80)), "inbound");
    assert.equal(await at(peer.connect(pod.ipv4, 81)), "app");
    assert.equal(await at(app.connect("192.0.2.7", 443)), "outbound");
    const passed = await Promise.all([
      app.connect("192.0.2.7", 80, { timeout: UNREACHED_S }),
      app.connect("198.51.100.7", 443, { timeout: UNREACHED_S }),
      app.connect("2001:db8::7", 443, { timeout: UNREACHED_S }),
    ]);
    assert.deepEqual(
      passed.map((seen) => seen.at),
      [undefined, undefined, undefined],
    );
  });
});
