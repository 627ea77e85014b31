import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { IdentityMesh } from "../harness/identity-mesh.ts";
import { projectRoot } from "../harness/imports.ts";
import { type Pod, PodNetwork, ROOT, skipWithoutNamespaces } from "../harness/net-namespace.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder } from "../harness/sidecar.ts";

/*
 * Pods whose traffic `heddle capture` redirects, their sidecars, and what the control plane gives to these, from Services and
 * Workloads as files have them. Applications are Debian's curl, dig and Python, and know nothing of a proxy.
 */

const skip = skipWithoutNamespaces("nft", "curl", "dig", "/usr/bin/python3");
const HEDDLE = join(projectRoot, "packages/cli/bin/heddle.mjs");
const APP = { uid: 1000, gid: 1000 };
/** It reads the project wherever that lies. */
const SIDECAR = { uid: 1337, gid: 1337, capabilities: "+dac_override,+net_admin" };

const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: orders, annotations: { heddle.dev/opaque-ports: "9002" } }
spec:
  selector: { app: orders }
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd96::1"]
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp-db, port: 5432 }, { name: any, port: 9000 }, { name: talk, port: 9001 }, { name: http-not, port: 9002 }]
---
apiVersion: v1
kind: Service
metadata: { name: machines }
spec: { selector: { app: orders }, ports: [{ name: http, port: 8080 }, { name: tcp-db, port: 5432 }] }
---
apiVersion: v1
kind: Service
metadata: { name: pods }
spec: { selector: { app: orders }, clusterIP: None, ports: [{ name: http, port: 8080 }, { name: tcp-db, port: 5432 }] }
---
apiVersion: v1
kind: Service
metadata: { name: api }
spec: { type: ExternalName, externalName: api.outside.test, ports: [{ name: https, port: 443 }] }
---
apiVersion: v1
kind: Service
metadata: { name: old }
spec: { selector: { app: outside }, clusterIP: None, ports: [{ name: tcp-mail, port: 2626 }] }
---
`;
/** Names without anybody behind them: routes say where their connections go. */
const DIVIDED = `
apiVersion: v1
kind: Service
metadata: { name: split }
spec: { clusterIP: 10.96.0.7, ports: [{ name: any, port: 7000 }, { name: web, port: 7001, appProtocol: http }] }
---
apiVersion: v1
kind: Service
metadata: { name: secure }
spec: { clusterIP: 10.96.0.8, ports: [{ name: tls, port: 443 }] }
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: { name: split }
spec:
  parentRefs: [{ group: "", kind: Service, name: split }]
  rules: [{ backendRefs: [{ name: orders, port: 5432 }, { name: orders, port: 80, weight: 0 }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: { name: secure }
spec:
  parentRefs: [{ group: "", kind: Service, name: secure }]
  hostnames: ["*.shop.test"]
  rules: [{ backendRefs: [{ name: orders, port: 5432 }] }]
---
`;
const STRICT = `
apiVersion: heddle.dev/v1
kind: PeerAuthentication
metadata: { name: strict }
spec: { mtls: { mode: STRICT } }
`;

interface Answer {
  readonly name: string;
  readonly client: string | null;
  readonly peer: string;
  readonly sni: string | null;
}

interface WorldOptions {
  /** Of the pod that is called; the one that calls is redirected. */
  readonly mode?: "redirect" | "tproxy";
  /** Pods have IPv6 alone. */
  readonly onlyIpv6?: boolean;
}

class World {
  readonly web: Pod;
  readonly orders: Pod;
  readonly outside: Pod;
  readonly #folder: string;
  readonly #resolvConf: string;
  readonly #mode: "redirect" | "tproxy";
  readonly #onlyIpv6: boolean;
  readonly #sidecars = new Map<string, SidecarProcess>();
  readonly mesh: IdentityMesh;

  constructor(owner: Owner, mesh: IdentityMesh, { mode = "redirect", onlyIpv6 = false }: WorldOptions = {}) {
    this.mesh = mesh;
    this.#mode = mode;
    this.#onlyIpv6 = onlyIpv6;
    const network = new PodNetwork(owner);
    this.web = network.pod("web");
    this.orders = network.pod("orders");
    this.outside = network.pod("outside");
    this.#folder = scratchFolder(owner);
    this.#resolvConf = join(this.#folder, "resolv.conf");
  }

  async start(): Promise<void> {
    const of = ({ ipv4, ipv6 }: Pod): string => (this.#onlyIpv6 ? ipv6 : ipv4);
    if (this.#onlyIpv6)
      for (const pod of [this.web, this.orders, this.outside]) pod.run("ip", "-4", "address", "flush", "dev", "eth0");
    const names = join(this.#folder, "names.json");
    const outside = of(this.outside);
    writeFileSync(
      names,
      JSON.stringify({
        "www.outside.test": outside,
        "api.outside.test": outside,
        "pods.default.svc.cluster.local": of(this.orders),
      }),
    );
    const { chain, key } = this.mesh.authority.issue({ dns: ["*.outside.test"] });
    const pem = join(this.#folder, "outside.pem");
    writeFileSync(pem, `${chain}${key}`);
    writeFileSync(
      this.#resolvConf,
      `nameserver ${outside}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n`,
    );
    const servers = ["http:80:outside", `tls:443:outside:${pem}`, "banner:2525:outside", "banner:2626:outside"];
    this.#app(this.outside, ROOT, ...servers, "udp:7007:outside", `dns:53:${names}`);
    const ports = [
      "http:8080:orders",
      "banner:5432:orders",
      "http:9000:orders",
      "banner:9001:orders",
      "banner:9002:orders",
      "banner:4711:orders",
      "http:8090:loopback@127.0.0.1",
      `http:8091:own@${of(this.orders)}`,
    ];
    this.#app(this.orders, APP, ...ports);
    this.mesh.put(
      SERVICES,
      DIVIDED,
      this.#workload("web", this.web, "", "redirect"),
      this.#workload("orders", this.orders, PORTS, this.#mode),
      this.#workload("outside", this.outside, "{ name: tcp-mail, protocol: tcp, port: 2626 }"),
    );
    const socket = join(this.#folder, "xds.sock");
    await this.mesh.serveAt(socket);
    for (const [name, pod, mode] of [
      ["web", this.web, "redirect"],
      ["orders", this.orders, this.#mode],
    ] as const) {
      const wrap = this.#inPod(pod);
      this.#sidecars.set(name, await this.mesh.run({ name }, this.mesh.certificate(name), { wrap }, socket));
      const where = ["--netns", pod.netns, "--backend=nft", `--resolv-conf=${this.#resolvConf}`];
      const flags = ["capture", ...where, `--mode=${mode}`];
      const { status, stdout, stderr } = spawnSync(process.execPath, [HEDDLE, ...flags], { encoding: "utf8" });
      assert.equal(status, 0, `${stdout}${stderr}`);
    }
    assert.deepEqual(this.mesh.rejections, []);
  }

  /** What curl in a pod prints; the application knows nothing of us. Rejects with what curl says. */
  async curl(url: string, pod = this.web, ...flags: readonly string[]): Promise<string> {
    return this.app(pod, "curl", "-sS", "-g", "--noproxy", "*", "--max-time", "20", ...flags, url);
  }

  async get(url: string, pod = this.web): Promise<Answer> {
    return JSON.parse(await this.curl(url, pod, "-k")) as Answer;
  }

  /** The first line that a server of bytes says of itself, and how long that took from dialling on. */
  async greeting(host: string, port: number, pod = this.web): Promise<{ readonly text: string; readonly ms: number }> {
    const script = `
import socket, sys, time
began = time.monotonic()
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(20)
line = s.makefile().readline()
print(round((time.monotonic() - began) * 1000), line.strip())
s.sendall(b"and back\\n")
assert s.recv(100) == b"and back\\n"`;
    const [ms = "", ...words] = (await this.app(pod, "/usr/bin/python3", "-c", script, host, String(port)))
      .trim()
      .split(" ");
    return { ms: Number(ms), text: words.join(" ") };
  }

  /** What an echo behind a greeting makes of bytes, and of 60 KB more: the same, unless somebody on the way has understood them. */
  async echoed(host: string, port: number, bytes: string): Promise<string> {
    const script = `
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(20)
sent = bytes.fromhex(sys.argv[3]) + bytes([255, 0, 10]) * 20_000
s.sendall(sent)
s.shutdown(socket.SHUT_WR)
got = b""
while data := s.recv(65536):
    got += data
print(got.removesuffix(sent[-60_000:]).hex())`;
    const hex = Buffer.from(bytes, "latin1").toString("hex");
    const out = await this.app(this.web, "/usr/bin/python3", "-c", script, host, String(port), hex);
    return Buffer.from(out.trim(), "hex").toString("latin1");
  }

  /** A counter of a sidecar, which is in a pod. */
  async counted(name: string, pod: Pod, counter: string): Promise<number> {
    const url = `http://${this.#sidecars.get(name)!.admin}/stats?filter=${counter}`;
    return Number(/: (\d+)$/m.exec(await this.app(pod, "curl", "-sS", "--max-time", "20", url))?.[1] ?? 0);
  }

  /** The answer to a datagram. */
  async datagram(host: string, port: number): Promise<string> {
    const script = `
import socket, sys
where = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_DGRAM)[0]
s = socket.socket(where[0], socket.SOCK_DGRAM)
s.settimeout(20)
s.sendto(b"?", where[4])
print(s.recv(100).decode())`;
    return (await this.app(this.web, "/usr/bin/python3", "-c", script, host, String(port))).trim();
  }

  /** What comes back until the connection is over, when plaintext is sent there. */
  async afterPlaintext(host: string, port: number, pod: Pod): Promise<string> {
    const script = `
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(20)
s.sendall(b"EHLO nobody\\n")
try:
    while data := s.recv(100):
        print(data if data[0] != 21 else "") # but for an alert of TLS
except ConnectionResetError:
    pass`;
    return (await this.app(pod, "/usr/bin/python3", "-c", script, host, String(port))).trim();
  }

  /** The first line that comes back for a ClientHello that asks for that name; "" where the connection is closed instead. */
  async afterHello(host: string, port: number, serverName: string): Promise<string> {
    const script = `
import socket, ssl, sys
hello, unused = ssl.MemoryBIO(), ssl.MemoryBIO()
client = ssl.create_default_context().wrap_bio(unused, hello, server_hostname=sys.argv[3])
try: client.do_handshake()
except ssl.SSLWantReadError: pass
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(20)
s.sendall(hello.read())
try: print(s.makefile("rb").readline().decode().strip())
except ConnectionResetError: pass`;
    return (await this.app(this.web, "/usr/bin/python3", "-c", script, host, String(port), serverName)).trim();
  }

  app(pod: Pod, ...command: readonly string[]): Promise<string> {
    const [program = "", ...args] = [...this.#withResolvConf(pod), ...setpriv(APP), ...command];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let [out, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    return new Promise((resolve, reject) => {
      child.once("close", (code) =>
        code === 0 ? resolve(out) : reject(new Error(`${command.join(" ")} ended with ${code}: ${errors}${out}`)),
      );
    });
  }

  /** Its resolv.conf is the pod's alone: `ip netns exec` has made a mount namespace. */
  #withResolvConf(pod: Pod): readonly string[] {
    const mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
    return ["ip", "netns", "exec", pod.name, "sh", "-c", mount, this.#resolvConf];
  }

  #inPod(pod: Pod): readonly string[] {
    return [...this.#withResolvConf(pod), ...setpriv(SIDECAR)];
  }

  #app(pod: Pod, identity: typeof APP, ...what: readonly string[]): void {
    pod.spawn(identity, ["/usr/bin/python3", join(projectRoot, "test/system/peers/pod_app.py"), ...what], {
      stdio: "inherit",
    });
  }

  /** @param mode left out: it has no sidecar. */
  #workload(name: string, pod: Pod, ports: string, mode?: "redirect" | "tproxy"): string {
    const addresses = this.#onlyIpv6 ? [pod.ipv6] : [pod.ipv4, pod.ipv6];
    return `apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  addresses: ${JSON.stringify(addresses)}
  serviceAccount: ${name}
  ${mode === undefined ? "" : `capture: ${mode}`}
  ports: [${ports}]
---
`;
  }
}

const PORTS =
  "{ name: http, protocol: http, port: 8080 }, { name: tcp-db, protocol: tcp, port: 5432 }, { name: any, port: 9000 }, { name: talk, port: 9001 }, { name: http-not, port: 9002 }";

function setpriv({
  uid,
  gid,
  capabilities,
}: {
  readonly uid: number;
  readonly gid: number;
  readonly capabilities?: string;
}) {
  const caps = capabilities === undefined ? [] : [`--inh-caps=${capabilities}`, `--ambient-caps=${capabilities}`];
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", ...caps, "--"];
}

const WEB = /URI=spiffe:\/\/mesh\.test\/ns\/default\/sa\/web/;

describe("a captured mesh", { skip }, () => {
  const owner = lastFirst({ after });
  let world: World;

  before(async () => {
    world = new World(owner, await IdentityMesh.start(owner));
    world.mesh.setPolicies(STRICT);
    await world.start();
    await eventually(
      "the mesh carries a request",
      async () => (await world.curl("http://orders/").catch(() => "")) !== "",
    );
  });

  for (const url of [
    "http://orders/",
    "http://orders.default/",
    "http://orders.default.svc.cluster.local:80/",
    "http://orders.default.svc.cluster.local./",
    "http://10.96.0.1/",
    "http://[fd96::1]/",
    "http://machines:8080/",
    "http://pods.default:8080/",
    "http://orders:9000/",
  ])
    test(`${url} reaches the service by mutual TLS, and the application hears who calls`, async () => {
      const { name, client } = await world.get(url);
      assert.equal(name, "orders");
      assert.match(client ?? "", WEB);
    });

  for (const [host, port] of [
    ["10.96.0.1", 5432],
    ["fd96::1", 5432],
    ["orders", 5432],
    ["machines", 5432],
  ] as const)
    test(`bytes to ${host}:${port} reach the service, whose server speaks first, without waiting for anything`, async () => {
      const greetings = [];
      for (let i = 0; i < 5; i++) greetings.push(await world.greeting(host, port));
      assert.deepEqual(new Set(greetings.map(({ text }) => text)), new Set(["220 orders"]));
      // Whoever looks at first bytes waits for 90 ms at least.
      assert.ok(Math.min(...greetings.map(({ ms }) => ms)) < 80, JSON.stringify(greetings));
    });

  test("a TCPRoute leads connections to another service, by mutual TLS, whatever the port is said to speak", async () => {
    for (const port of [7000, 7001]) assert.equal((await world.greeting("split", port)).text, "220 orders");
  });

  test("a TLSRoute leads TLS by the name that is asked for, unread; another name, and what is no TLS, is closed", async () => {
    assert.equal(await world.afterHello("secure", 443, "a.b.shop.test"), "220 orders");
    for (const name of ["shop.test", "a.shop.test.other"])
      assert.equal(await world.afterHello("secure", 443, name), "", name);
    assert.equal(await world.afterPlaintext("10.96.0.8", 443, world.web), "");
  });

  test("where nobody says what is spoken, a server that speaks first is heard when it speaks, and nobody waits to the end", async () => {
    const { web } = world;
    assert.equal((await world.greeting("orders", 9001)).text, "220 orders");
    const heard = await world.counted("web", web, "server_first.server_spoke");
    // On a busy machine both may be silent for 90 ms.
    await eventually("a greeting is heard before the time is up", async () => {
      assert.equal((await world.greeting("orders", 9001)).text, "220 orders");
      return (await world.counted("web", web, "server_first.server_spoke")) > heard;
    });
  });

  test("a pod of a headless service is called by its own address, by mutual TLS", async () => {
    const { orders } = world;
    for (const host of [orders.ipv4, `[${orders.ipv6}]`])
      assert.match((await world.get(`http://${host}:8080/`)).client ?? "", WEB);
    assert.equal((await world.greeting(orders.ipv4, 5432)).text, "220 orders");
  });

  test("a port that a Service declares as bytes, or its annotation, carries anything untouched, and its server may speak first", async () => {
    const bytes = `GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Client-Cert: URI=spiffe://forged\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x16\x03\x01\0`;
    for (const [host, port] of [
      ["10.96.0.1", 5432],
      ["orders", 9002], // whose name says "http"
      [world.orders.ipv4, 5432],
    ] as const) {
      assert.equal((await world.greeting(host, port)).text, "220 orders");
      assert.equal(await world.echoed(host, port, bytes), `220 orders\n${bytes}`, `${host}:${port}`);
    }
  });

  test("an application that calls its own Service reaches itself, through its sidecar and as any caller; its own address is itself", async () => {
    const { orders } = world;
    for (const url of ["http://orders/", "http://machines:8080/", "http://[fd96::1]/"]) {
      const { name, client } = await world.get(url, orders);
      assert.equal(name, "orders");
      assert.match(client ?? "", /URI=spiffe:\/\/mesh\.test\/ns\/default\/sa\/orders/, url);
    }
    assert.equal((await world.greeting("orders", 5432, orders)).text, "220 orders");
    for (const host of [orders.ipv4, `[${orders.ipv6}]`, "127.0.0.1"])
      assert.deepEqual((await world.get(`http://${host}:8080/`, orders)).client, null, host);
  });

  test("UDP is left alone, by either family", async () => {
    const { web, outside } = world;
    assert.equal(await world.datagram(outside.ipv4, 7007), `outside ::ffff:${web.ipv4}`);
    assert.equal(await world.datagram(outside.ipv6, 7007), `outside ${web.ipv6}`);
  });

  test("TLS of an application passes unopened, to names for something outside by their server name", async () => {
    for (const host of ["api.outside.test", "www.outside.test"])
      assert.equal((await world.get(`https://${host}/`)).sni, host);
    // Whatever the address that the name has led to, at which nobody is here.
    const elsewhere = await world.curl(
      "https://api.outside.test/",
      world.web,
      "-k",
      "--resolve",
      "api.outside.test:443:192.0.2.7",
    );
    assert.equal((JSON.parse(elsewhere) as Answer).name, "outside");
  });

  test("what the mesh does not know goes where it was meant to go, by a name that the pod's own name server has", async () => {
    const { name, client, peer } = await world.get("http://www.outside.test/");
    assert.deepEqual([name, client], ["outside", null]);
    assert.equal(peer, `::ffff:${world.web.ipv4}`);
    assert.equal((await world.greeting("www.outside.test", 2525)).text, "220 outside");
    assert.equal((await world.get(`http://[${world.outside.ipv6}]/`)).name, "outside");
  });

  test("dig gets names of the mesh at once, with the letters as it has written them, and others as they are", async () => {
    const dig = (...words: readonly string[]): Promise<string> =>
      world.app(world.web, "dig", "+noall", "+answer", ...words);
    assert.match(
      await dig("OrDers.default.svc.cluster.local"),
      /^OrDers\.default\.svc\.cluster\.local\.\s+30\s+IN\s+A\s+10\.96\.0\.1$/m,
    );
    assert.match(await dig("AAAA", "orders.default.svc.cluster.local"), /fd96::1/);
    assert.match(await dig("+tcp", "orders.default"), /10\.96\.0\.1/);
    assert.match(await dig("machines.default"), /240\.240\./);
    const { orders } = world;
    assert.match(
      await dig("AAAA", "pods.default"),
      new RegExp(`AAAA\\s+${orders.ipv6}$`, "m"),
      "of a headless service",
    );
    assert.match(
      await dig("SRV", "_tcp-db._tcp.orders.default.svc.cluster.local"),
      /SRV\s+0 100 5432 orders\.default\.svc\.cluster\.local\.$/m,
    );
    assert.match(await dig("www.outside.test"), new RegExp(world.outside.ipv4));
    assert.match(await world.app(world.web, "dig", "nobody.outside.test"), /status: NXDOMAIN/);
  });

  test("STRICT: nobody without an identity gets in, on ports that are declared or not, by either family", async () => {
    const { orders, outside } = world;
    for (const host of [orders.ipv4, `[${orders.ipv6}]`])
      await assert.rejects(world.curl(`http://${host}:8080/`, outside), /ended with (35|52|56)/);
    for (const port of [5432, 4711, 9001]) assert.equal(await world.afterPlaintext(orders.ipv4, port, outside), "");
  });

  test("PERMISSIVE: others get in too, to the application at the pod's own address, and undeclared ports are reached", async () => {
    world.mesh.setPolicies();
    const { orders, outside } = world;
    await eventually(
      "the policy is in force",
      async () => (await world.curl(`http://${orders.ipv4}:8080/`, outside).catch(() => "")) !== "",
    );
    const { name, client } = await world.get(`http://${orders.ipv4}:8080/`, outside);
    assert.deepEqual([name, client], ["orders", null]);
    assert.equal((await world.greeting(orders.ipv4, 4711, outside)).text, "220 orders");
    assert.match((await world.get("http://orders/")).client ?? "", WEB);
    assert.equal((await world.greeting(orders.ipv4, 4711)).text, "220 orders");
  });

  test("an application is reached at the address at which it listens, as without a sidecar: not where that is loopback alone", async () => {
    const { orders, outside } = world;
    assert.equal((await world.get(`http://${orders.ipv4}:8091/`, outside)).name, "own");
    await assert.rejects(world.curl(`http://${orders.ipv4}:8090/`, outside), /ended with (52|56)/);
    await assert.rejects(world.curl(`http://[${orders.ipv6}]:8091/`, outside), /ended with (52|56)/);
    assert.equal((await world.get("http://127.0.0.1:8090/", orders)).name, "loopback");
  });
});

describe("a captured mesh that refuses what it does not know", { skip }, () => {
  const owner = lastFirst({ after });
  let world: World;

  before(async () => {
    world = new World(owner, await IdentityMesh.start(owner, "blackhole"));
    await world.start();
    await eventually(
      "the mesh carries a request",
      async () => (await world.curl("http://orders/").catch(() => "")) !== "",
    );
  });

  test("answers 502 to HTTP and closes all else, and carries what it knows", async () => {
    assert.equal(
      await world.curl("http://www.outside.test/", world.web, "-o", "/dev/null", "-w", "%{http_code}"),
      "502",
    );
    await assert.rejects(world.greeting("www.outside.test", 2525));
    assert.match((await world.get("http://orders/")).client ?? "", WEB);
    assert.equal((await world.greeting("10.96.0.1", 5432)).text, "220 orders");
  });

  test("lets TLS out to names that Services stand for, wherever they lead, and to no other", async () => {
    assert.equal((await world.get("https://api.outside.test/")).sni, "api.outside.test");
    const at = (address: string): Promise<string> =>
      world.curl("https://api.outside.test/", world.web, "-k", "--resolve", `api.outside.test:443:${address}`);
    assert.equal((JSON.parse(await at("192.0.2.7")) as Answer).name, "outside");
    await assert.rejects(world.curl("https://www.outside.test/", world.web, "-k"), /ended with 35/);
    await assert.rejects(world.curl(`https://${world.outside.ipv4}/`, world.web, "-k"), /ended with 35/);
  });

  test("knows the pods of headless services by their addresses, those without a sidecar too", async () => {
    assert.match((await world.get(`http://${world.orders.ipv4}:8080/`)).client ?? "", WEB);
    assert.equal((await world.greeting(world.outside.ipv4, 2626)).text, "220 outside");
    await assert.rejects(world.greeting(world.outside.ipv4, 2525));
  });
});

describe("a captured mesh of IPv6 alone", { skip }, () => {
  const owner = lastFirst({ after });
  let world: World;

  before(async () => {
    world = new World(owner, await IdentityMesh.start(owner), { onlyIpv6: true });
    await world.start();
    await eventually(
      "the mesh carries a request",
      async () => (await world.curl("http://orders/").catch(() => "")) !== "",
    );
  });

  test("carries what others carry: services by name and address, servers that speak first, itself, and what is outside", async () => {
    const { orders, outside } = world;
    for (const url of ["http://orders/", "http://[fd96::1]/", "http://machines:8080/", "http://pods.default:8080/"])
      assert.match((await world.get(url)).client ?? "", WEB, url);
    for (const [host, port] of [
      ["orders", 5432],
      ["orders", 9001],
      [orders.ipv6, 4711],
    ] as const)
      assert.equal((await world.greeting(host, port)).text, "220 orders");
    assert.match((await world.get("http://orders/", orders)).client ?? "", /sa\/orders/);
    assert.equal((await world.get("http://www.outside.test/")).name, "outside");
    assert.equal((await world.get("https://api.outside.test/")).sni, "api.outside.test");
    assert.equal(await world.datagram(outside.ipv6, 7007), `outside ${world.web.ipv6}`);
    assert.equal((await world.get(`http://[${orders.ipv6}]:8080/`, outside)).client, null);
  });
});

describe("a captured mesh whose callee keeps the callers' addresses (TPROXY)", { skip }, () => {
  const owner = lastFirst({ after });
  let world: World;

  before(async () => {
    world = new World(owner, await IdentityMesh.start(owner), { mode: "tproxy" });
    await world.start();
    await eventually(
      "the mesh carries a request",
      async () => (await world.curl("http://orders/").catch(() => "")) !== "",
    );
  });

  test("the application sees who calls, within the mesh and from outside, by either family", async () => {
    const { web, orders, outside } = world;
    const within = await world.get("http://orders/");
    assert.match(within.client ?? "", WEB);
    // Its sidecar takes the addresses of the other in turn.
    assert.ok([`::ffff:${web.ipv4}`, web.ipv6].includes(within.peer), within.peer);
    assert.equal((await world.get(`http://${orders.ipv4}:8080/`, outside)).peer, `::ffff:${outside.ipv4}`);
    assert.equal((await world.get(`http://[${orders.ipv6}]:8080/`, outside)).peer, outside.ipv6);
  });

  test("bytes of servers that speak first pass, on declared and undeclared ports", async () => {
    assert.equal((await world.greeting("10.96.0.1", 5432)).text, "220 orders");
    assert.equal((await world.greeting(world.orders.ipv4, 4711, world.outside)).text, "220 orders");
  });
});
