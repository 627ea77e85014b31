import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";
import { type Agent, type Pod, PodNetwork, ROOT, skipWithoutNamespaces } from "../harness/net-namespace.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/*
 * Whole pods: a control plane that is the authority, applications that know nothing of a mesh, their sidecars as the sidecar's user, and the
 * rules of `heddle capture` between them, each in network namespaces of its own. `web` calls; `orders` is called, by REDIRECT and by TPROXY;
 * `stranger` has no sidecar.
 */

const skip = skipWithoutNamespaces("nft", "curl", "/usr/bin/python3");
const FLAGS = ["--conditions=heddle-src", "--disable-warning=ExperimentalWarning"];
const APP = { uid: 1000, gid: 1000 };
/** It reads the project wherever that lies. */
const SIDECAR = { uid: 1337, gid: 1337 };
const ORDERS = { ipv4: "10.96.0.10", ipv6: "fd96::10" } as const;
const WEB = { ipv4: "10.96.0.11", ipv6: "fd96::11" } as const;
const DB = { ipv4: "10.96.0.12", ipv6: "fd96::12" } as const;

/** Answers with what it sees of the request, as JSON. */
const HTTP_SERVER = `
import http.server, json, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"app": sys.argv[1], "peer": self.client_address[0], "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
`;

/** What injection makes of probes. Nobody listens on the last one's port. */
const PROBES = {
  "/app-health/app/livez": { httpGet: { port: 8080 } },
  "/app-health/app/readyz": { tcpSocket: { port: 8080 } },
  "/app-health/other/readyz": { tcpSocket: { port: 8081 } },
};

interface Seen {
  readonly app: string;
  readonly peer: string;
  readonly headers: Readonly<Record<string, string>>;
}

for (const mode of ["redirect", "tproxy"] as const) {
  describe(`a mesh of captured pods, ${mode}`, { skip }, () => {
    const owner = lastFirst({ after });
    const folder = scratchFolder(owner);
    const config = join(folder, "config");
    const logs = new Map<string, string>();
    let controlPlane: Pod;
    let web: Pod;
    let orders: Pod;
    let stranger: Pod;
    let dbClient: Agent;

    before(async () => {
      chmodSync(folder, 0o755); // sidecars are another user
      const network = new PodNetwork(owner);
      controlPlane = network.pod("cp");
      const resolvConf = `nameserver ${controlPlane.ipv4}\nsearch default.svc.cluster.local svc.cluster.local\noptions timeout:1 attempts:1\n`;
      web = network.pod("web", resolvConf);
      orders = network.pod("orders", resolvConf);
      stranger = network.pod("stranger");
      mkdirSync(config);
      writeFileSync(join(config, "mesh.json"), documents(workload("web", web), workload("orders", orders)));
      const tokens = new Map(["web", "orders"].map((name) => [name, `hjt_${randomBytes(32).toString("base64url")}`]));
      const entries = [...tokens].map(([name, token]) => ({
        sha256: createHash("sha256").update(token).digest("hex"),
        spiffeId: `spiffe://cluster.local/ns/default/sa/${name}`,
        expires: "2099-01-01T00:00:00Z",
      }));
      writeFileSync(join(folder, "join-tokens.json"), JSON.stringify(entries));
      run(controlPlane, "control plane", ROOT, [
        "control-plane/src/main.ts",
        "--config",
        config,
        "--store",
        join(folder, "store"),
        "--trust-domain",
        "cluster.local",
        "--join-tokens",
        join(folder, "join-tokens.json"),
        "--xds-tls-address",
        `${controlPlane.ipv4}:15012`,
        "--tls-san",
        controlPlane.ipv4,
      ]);
      for (const [pod, name] of [
        [web, "web"],
        [orders, "orders"],
        [stranger, "stranger"],
      ] as const) {
        pod.spawn(APP, ["/usr/bin/python3", "-c", HTTP_SERVER, name], { stdio: "ignore" });
      }
      await orders.agent(APP).listen("db", 5432);
      dbClient = web.agent(APP);
      await eventually(
        "the control plane is ready",
        () => curl(controlPlane, ROOT, "http://127.0.0.1:15014/ready").status === 0,
        60_000,
      );
      const bundle = join(folder, "ca.pem");
      writeFileSync(bundle, curl(controlPlane, ROOT, "http://127.0.0.1:15014/ca/bundle").stdout);
      for (const [pod, name] of [
        [web, "web"],
        [orders, "orders"],
      ] as const) {
        const captureFlags = ["packages/cli/src/main.ts", "capture", `--mode=${mode}`];
        const [tool, ...words] = pod.wrap(ROOT);
        const done = spawnSync(tool!, [...words, process.execPath, ...FLAGS, ...captureFlags], {
          cwd: projectRoot,
          encoding: "utf8",
        });
        assert.equal(done.status, 0, done.stderr);
        const flags = [
          "--control-plane",
          `${controlPlane.ipv4}:15012`,
          "--ca-bundle",
          bundle,
          "--node-id",
          `default/${name}/1`,
          "--health-address",
          "[::]:15021",
        ];
        // As injection has it: under TPROXY user 0, and the rules know it by its group.
        const identity = mode === "tproxy" ? { ...SIDECAR, uid: 0 } : { ...SIDECAR, capabilities: "+dac_override" };
        run(pod, name, identity, ["sidecar/src/main.ts", ...flags], {
          HEDDLE_JOIN_TOKEN: tokens.get(name) ?? "",
          HEDDLE_CAPTURE: mode,
          HEDDLE_APP_PROBES: JSON.stringify(PROBES),
          POD_IPS: name === "web" ? pod.ipv6 : pod.ipv4,
        });
      }
      for (const [pod, name] of [
        [web, "web"],
        [orders, "orders"],
      ] as const) {
        const isReady = (): boolean => curl(pod, ROOT, "http://127.0.0.1:15000/ready").stdout.includes("LIVE");
        await eventually(`the sidecar of ${name} is ready`, isReady, 60_000).catch((error: Error) => {
          throw new Error(`${error.message}\n${logs.get(name)}`);
        });
      }
    });

    function run(
      pod: Pod,
      name: string,
      identity: typeof ROOT,
      args: readonly string[],
      environment: Record<string, string> = {},
    ): void {
      const env = { ...process.env, XDG_STATE_HOME: folder, ...environment };
      const child = pod.spawn(identity, [process.execPath, ...FLAGS, ...args], {
        env,
        stdio: ["ignore", "ignore", "pipe"],
      });
      child.stderr!.setEncoding("utf8").on("data", (text: string) => logs.set(name, (logs.get(name) ?? "") + text));
    }

    function workload(name: string, pod: Pod): object {
      return {
        apiVersion: "heddle.dev/v1",
        kind: "Workload",
        metadata: { name, labels: { app: name } },
        spec: {
          addresses: [pod.ipv4, pod.ipv6],
          serviceAccount: name,
          capture: mode,
          ports: [
            { name: "http", protocol: "http", port: 8080 },
            ...(name === "orders" ? [{ name: "db", protocol: "tcp", port: 5432 }] : []),
          ],
        },
      };
    }

    function service(
      name: string,
      app: string,
      ips: { readonly ipv4: string; readonly ipv6: string },
      port: object,
    ): object {
      return {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace: "default" },
        spec: { selector: { app }, clusterIP: ips.ipv4, clusterIPs: [ips.ipv4, ips.ipv6], ports: [port] },
      };
    }

    function documents(...workloads: readonly object[]): string {
      const http = { name: "http", appProtocol: "http", port: 80, targetPort: 8080 };
      return [
        ...workloads,
        service("web", "web", WEB, http),
        service("orders", "orders", ORDERS, http),
        service("db", "orders", DB, { name: "db", appProtocol: "tcp", port: 5432 }),
      ]
        .map((document) => JSON.stringify(document))
        .join("\n---\n");
    }

    function curl(
      pod: Pod,
      identity: typeof ROOT,
      ...args: readonly string[]
    ): { readonly status: number | null; readonly stdout: string } {
      const [tool, ...words] = pod.wrap(identity);
      return spawnSync(tool!, [...words, "curl", "-sS", "--fail", "--max-time", "10", "--noproxy", "*", ...args], {
        encoding: "utf8",
      });
    }

    /** What the application of `pod` gets. */
    function ask(pod: Pod, url: string): Seen {
      const { status, stdout, ...rest } = curl(pod, APP, url);
      assert.equal(status, 0, `${url}: ${JSON.stringify(rest)}\n${[...logs.values()].join("\n")}`);
      return JSON.parse(stdout) as Seen;
    }

    for (const family of ["ipv4", "ipv6"] as const) {
      const at = (address: string): string => (family === "ipv4" ? address : `[${address}]`);

      test(`${family}: a call to a service's address arrives through both sidecars, and the caller is known by its certificate`, () => {
        const { app, peer, headers } = ask(web, `http://${at(ORDERS[family])}/`);
        assert.equal(app, "orders");
        assert.match(headers["x-forwarded-client-cert"] ?? "", /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web/);
        if (mode === "redirect") assert.match(peer, /^(::ffff:127\.0\.0\.6|::6)$/);
        // By whichever family the endpoint was dialled: the address of the caller, not of its own sidecar.
        else assert.match(peer, new RegExp(`^(::ffff:${web.ipv4.replaceAll(".", "\\.")}|${web.ipv6})$`));
      });

      test(`${family}: bytes of a server that speaks first arrive as they are`, async () => {
        const seen = await dbClient.connect(DB[family], 5432);
        assert.equal(seen.at, "db", JSON.stringify(seen));
      });

      test(`${family}: a pod that calls its own service reaches itself through its sidecar, and not for ever`, () => {
        const { app, headers } = ask(web, `http://${at(WEB[family])}/`);
        assert.equal(app, "web");
        assert.match(headers["x-forwarded-client-cert"] ?? "", /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web/);
      });

      test(`${family}: a pod that calls itself, on loopback and by its own address, needs nobody`, () => {
        for (const host of [family === "ipv4" ? "127.0.0.1" : "[::1]", at(web[family])]) {
          const { app, headers } = ask(web, `http://${host}:8080/`);
          assert.equal(app, "web");
          assert.equal(headers["x-request-id"], undefined, "no proxy was on the way");
        }
      });

      test(`${family}: strangers are reached, and reach those who let them`, () => {
        assert.equal(ask(web, `http://${at(stranger[family])}:8080/`).app, "stranger");
        const { app, headers } = ask(stranger, `http://${at(orders[family])}:8080/`);
        assert.equal(app, "orders");
        assert.equal(headers["x-forwarded-client-cert"], undefined);
      });
    }

    test("a service is known by its name: the sidecar answers the application's DNS", () => {
      assert.equal(ask(web, "http://orders/").app, "orders");
      assert.equal(ask(web, "http://orders.default.svc.cluster.local/").app, "orders");
    });

    test("the ports of the sidecar are closed to strangers", () => {
      for (const port of [15_000, 15_001, 15_006]) {
        const { status } = curl(stranger, APP, "--connect-timeout", "0.5", `http://${orders.ipv4}:${port}/`);
        assert.ok(status !== 0, `port ${port}`);
      }
    });

    test("where mutual TLS is asked for, strangers are refused at every port and members are not", async () => {
      const strict = {
        apiVersion: "heddle.dev/v1",
        kind: "PeerAuthentication",
        metadata: { name: "strict" },
        spec: { mtls: { mode: "STRICT" } },
      };
      writeFileSync(join(config, "strict.json"), JSON.stringify(strict));
      const isRefused = (): boolean => curl(stranger, APP, `http://${orders.ipv4}:8080/`).status !== 0;
      await eventually("the stranger is refused", isRefused, 30_000);
      assert.ok(curl(stranger, APP, `http://[${orders.ipv6}]:8080/`).status !== 0);
      assert.equal((await stranger.agent(APP).connect(orders.ipv4, 5432)).at, undefined);
      assert.equal(ask(web, `http://${ORDERS.ipv4}/`).app, "orders");
      assert.equal((await dbClient.connect(DB.ipv4, 5432)).at, "db");
    });

    test("where mutual TLS is asked for, the kubelet's probes reach the application, and find out that it is not there", () => {
      for (const at of [`http://[${web.ipv6}]:15021`, `http://${orders.ipv4}:15021`]) {
        for (const probe of ["livez", "readyz"])
          assert.equal(curl(stranger, APP, `${at}/app-health/app/${probe}`).stdout, "ok\n", `${at} ${probe}`);
        assert.notEqual(curl(stranger, APP, `${at}/app-health/other/readyz`).status, 0, `${at}: nobody listens there`);
      }
    });

    test("when the rules are taken away the application is reached as if there were no mesh", () => {
      orders.run(process.execPath, ...FLAGS, join(projectRoot, "packages/cli/src/main.ts"), "capture", "--undo");
      assert.equal(ask(stranger, `http://${orders.ipv4}:8080/`).headers["x-request-id"], undefined);
    });
  });
}
