import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { type Pod, PodNetwork, ROOT, skipWithoutNamespaces } from "../harness/net-namespace.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/*
 * `heddle cni install` on a node that is a folder, and the plugin called as a container runtime would: configuration on stdin, namespaces that the
 * test has made, an API server over real HTTPS.
 */

const skip = skipWithoutNamespaces("nft", "iptables", "/usr/bin/python3");
const HEDDLE = join(projectRoot, "packages/cli/bin/heddle.mjs");
const ACCOUNT = { namespace: "heddle-system", name: "heddle-cni" };
const LIST = { cniVersion: "1.0.0", name: "kindnet", plugins: [{ type: "ptp" }, { type: "portmap" }] };

interface Answer {
  readonly status: number | null;
  readonly json: Readonly<Record<string, unknown>>;
}

describe("the CNI plugin", { skip }, () => {
  const owner = lastFirst({ after });
  const network = skip === false ? new PodNetwork(owner) : undefined;
  const host = scratchFolder(owner);
  const [binDir, confDir, account, proc] = ["bin", "net.d", "account", "proc"].map((name) => join(host, name)) as [
    string,
    string,
    string,
    string,
  ];
  const conflist = join(confDir, "10-kindnet.conflist");
  let server: KubeApiServer;
  let daemon: ChildProcess;
  let log = "";
  let uids = 0;

  before(async () => {
    server = await KubeApiServer.start(owner, { rbac: true });
    await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: ACCOUNT.namespace } });
    await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
    await server.create({ apiVersion: "v1", kind: "ServiceAccount", metadata: ACCOUNT });
    const rbac = "rbac.authorization.k8s.io";
    const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "patch", "delete"] }];
    await server.create({ apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata: { name: "heddle-cni" }, rules });
    await server.create({
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: "heddle-cni" },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "heddle-cni" },
      subjects: [{ kind: "ServiceAccount", ...ACCOUNT }],
    });
    for (const folder of [confDir, account, proc]) mkdirSync(folder);
    writeFileSync(join(account, "ca.crt"), server.authority.certificate);
    writeFileSync(join(account, "token"), server.accountToken(ACCOUNT.namespace, ACCOUNT.name));
    writeFileSync(conflist, JSON.stringify(LIST));
    startDaemon("--repair=rules");
    await eventually("the plugin is in the chain", () => chain().includes("heddle-cni"), 30_000);
  });

  function startDaemon(...flags: readonly string[]): void {
    const places = [
      `--cni-bin-dir=${binDir}`,
      `--cni-conf-dir=${confDir}`,
      `--host-bin-dir=${binDir}`,
      `--host-conf-dir=${confDir}`,
    ];
    const more = [
      `--service-account=${account}`,
      `--api-server=${server.url}`,
      "--node-name=node-1",
      `--proc-dir=${proc}`,
      "--interval=0.3",
    ];
    const child = spawn(process.execPath, [HEDDLE, "cni", "install", ...places, ...more, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (more: string) => (log += more));
    owner.after(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    daemon = child;
  }

  const chain = (): string => readFileSync(conflist, "utf8");

  /** A pod as the API server has it, and its namespace. */
  async function makePod(name: string, { injected = true, annotations = {} } = {}): Promise<{ pod: Pod; uid: string }> {
    const pod = network!.pod(name);
    const { metadata } = await server.create({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "shop", labels: injected ? { "heddle.dev/injected": "true" } : {}, annotations },
      spec: { nodeName: "node-1", containers: [{ name: "app", image: "app" }] },
    });
    return { pod, uid: metadata.uid! };
  }

  /** As a runtime does for a pod's sandbox: our entry of the chain, with name, version, the result before and what the capabilities ask for. */
  async function call(
    command: string,
    name: string,
    netns: string,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<Answer> {
    const {
      cniVersion,
      name: list,
      plugins,
    } = JSON.parse(chain()) as { cniVersion: string; name: string; plugins: { type: string }[] };
    const entry = plugins.find(({ type }) => type === "heddle-cni");
    const prevResult = { cniVersion, ips: [{ address: "10.0.0.2/24" }] };
    const env = {
      PATH: process.env["PATH"] ?? "",
      CNI_COMMAND: command,
      CNI_CONTAINERID: `sandbox-${name}`,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: binDir,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=sandbox-${name}`,
    };
    const child = spawn(join(binDir, "heddle-cni"), { env, stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(JSON.stringify({ ...entry, cniVersion, name: list, prevResult, ...more }));
    const [stdout, status] = await Promise.all([
      text(child.stdout),
      new Promise<number | null>((resolve) => child.once("exit", resolve)),
    ]);
    return { status, json: stdout === "" ? {} : (JSON.parse(stdout) as Record<string, unknown>) };
  }

  const rulesOf = (pod: Pod): string => pod.run("nft", "list", "ruleset");

  test("ADD sets the rules that the annotations of the pod ask for, passes the result on, and may be repeated", async () => {
    const { pod } = await makePod("web", { annotations: { "heddle.dev/exclude-inbound-ports": "9999" } });
    const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] };
    for (let i = 0; i < 2; i++) assert.deepEqual(await call("ADD", "web", pod.netns), { status: 0, json: prevResult });
    assert.match(rulesOf(pod), /elements = \{ 9999,/);
    assert.match(rulesOf(pod), /redirect to :15053/);
    assert.deepEqual(await call("CHECK", "web", pod.netns), { status: 0, json: {} });
    pod.run("nft", "flush", "chain", "inet", "heddle", "output");
    const { status, json } = await call("CHECK", "web", pod.netns);
    assert.equal(status, 1);
    assert.equal(json["code"], 101);
    assert.match(String(json["msg"]), /is missing/);
    assert.deepEqual(await call("DEL", "web", pod.netns), { status: 0, json: {} });
    assert.deepEqual(await call("DEL", "web", "/run/netns/gone"), { status: 0, json: {} });
    assert.deepEqual(await call("STATUS", "web", ""), { status: 0, json: {} });
  });

  test("ADD captures for real", async () => {
    const { pod } = await makePod("real");
    assert.equal((await call("ADD", "real", pod.netns)).status, 0);
    const [app, sidecar] = [pod.agent({ uid: 1000, gid: 1000 }), pod.agent({ uid: 1337, gid: 1337 })];
    await Promise.all([sidecar.listen("outbound", 15_001), sidecar.listen("inbound", 15_006)]);
    assert.equal((await app.connect("192.0.2.1", 80)).at, "outbound");
    assert.equal((await network!.pod("caller").agent(ROOT).connect(pod.ipv6, 8080)).at, "inbound");
  });

  test("the runtime says which servers the pod will ask, and their DNS is captured", async () => {
    const { pod } = await makePod("asks");
    const runtimeConfig = { dns: { servers: ["10.96.0.10"], searches: [] } };
    assert.equal((await call("ADD", "asks", pod.netns, { runtimeConfig })).status, 0);
    assert.match(rulesOf(pod), /elements = \{ 10\.96\.0\.10 \}/);
  });

  test("ADD leaves a pod without a sidecar alone", async () => {
    const { pod } = await makePod("plain", { injected: false });
    assert.equal((await call("ADD", "plain", pod.netns)).status, 0);
    assert.equal(rulesOf(pod), "");
  });

  test("annotations that are not understood keep the pod from starting, and the error names them", async () => {
    const { pod } = await makePod("wrong", { annotations: { "heddle.dev/capture": "everything" } });
    const { status, json } = await call("ADD", "wrong", pod.netns);
    assert.equal(status, 1);
    assert.equal(json["code"], 100);
    assert.match(String(json["details"]), /metadata.annotations\["heddle.dev\/capture"\]: found "everything"/);
    await server.delete("v1", "Pod", "shop", "wrong");
  });

  test("while the API server is away ADD fails and may be tried again; excluded namespaces start", async () => {
    const { pod } = await makePod("later");
    await server.stop();
    try {
      const { status, json } = await call("ADD", "later", pod.netns);
      assert.equal(status, 1);
      assert.equal(json["code"], 11);
      assert.match(String(json["details"]), /ECONNREFUSED/);
      assert.equal(rulesOf(pod), "");
      assert.equal((await call("ADD", "later", pod.netns, { excludeNamespaces: ["shop"] })).status, 0);
      assert.equal((await call("STATUS", "later", "")).json["code"], 50);
    } finally {
      await server.listen();
    }
    assert.equal((await call("ADD", "later", pod.netns)).status, 0);
    assert.equal((await call("ADD", "nobody", pod.netns)).json["code"], 11, "of whom the API server has not heard");
  });

  test("cnitool, which is libcni, has the chain set the rules, checks them and is passed the result", async (t) => {
    if (spawnSync("go", ["version"]).error !== undefined) return t.skip("not installed: Go");
    const tool = join(host, "cnitool");
    const built = spawnSync(
      "go",
      ["build", "-mod=readonly", "-o", tool, "github.com/containernetworking/cni/cnitool"],
      {
        cwd: join(projectRoot, "test/system/peers/cnitool"),
        encoding: "utf8",
        timeout: 240_000,
      },
    );
    if (built.status !== 0 && /proxy|dial tcp|lookup|timeout/i.test(built.stderr))
      return t.skip("Go's modules cannot be fetched");
    assert.equal(built.status, 0, built.stderr);
    const result = {
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0" }],
      ips: [{ address: "10.0.0.2/24", interface: 0 }],
    };
    const versions = { cniVersion: "1.0.0", supportedVersions: ["1.0.0"] };
    // The plugins before ours: one makes an interface, the other passes on what it is given.
    const script = `#!/bin/sh\ncase $CNI_COMMAND in VERSION) echo '${JSON.stringify(versions)}' ;; ADD) echo '${JSON.stringify(result)}' ;; esac\n`;
    for (const { type } of LIST.plugins) writeFileSync(join(binDir, type), script, { mode: 0o755 });
    const { pod } = await makePod("tooled");
    const env = {
      PATH: process.env["PATH"] ?? "",
      NETCONFPATH: confDir,
      CNI_PATH: binDir,
      CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=tooled",
    };
    const run = async (verb: string): Promise<{ readonly status: number | null; readonly printed: string }> => {
      // It keeps results in /var/lib/cni: here in one of its own.
      const aside = ["--mount", "--", "sh", "-c", 'mount --bind "$0" /var/lib && exec "$@"', host];
      const child = spawn("unshare", [...aside, tool, verb, LIST.name, pod.netns], {
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
      const [out, errors, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
      return { status, printed: out + errors };
    };
    const added = await run("add");
    assert.equal(added.status, 0, added.printed);
    assert.deepEqual((JSON.parse(added.printed) as typeof result).ips, result.ips);
    assert.match(rulesOf(pod), /redirect to :15006/);
    assert.deepEqual(await run("check"), { status: 0, printed: "" });
    pod.run("nft", "delete", "table", "inet", "heddle");
    assert.match((await run("check")).printed, /no rules are in force/);
    assert.equal((await run("del")).status, 0);
  });

  test("a chain that is rewritten gets the plugin again, and a token that is renewed reaches the node", async () => {
    writeFileSync(conflist, JSON.stringify({ ...LIST, name: "rewritten" }));
    await eventually("the plugin is in the chain again", () => chain().includes("heddle-cni"), 30_000);
    assert.equal((JSON.parse(chain()) as { name: string }).name, "rewritten");
    const token = server.accountToken(ACCOUNT.namespace, ACCOUNT.name, { expirationSeconds: 7200 });
    writeFileSync(join(account, "token"), token);
    await eventually(
      "the kubeconfig has it",
      () => readFileSync(join(confDir, "heddle-cni.kubeconfig"), "utf8").includes(token),
      30_000,
    );
    assert.ok(!log.includes(token), "no log has it");
  });

  /** As the node's /proc shows a process of the pod. */
  function runs(pod: Pod, uid: string): void {
    const folder = join(proc, String(1000 + ++uids));
    mkdirSync(join(folder, "ns"), { recursive: true });
    writeFileSync(
      join(folder, "cgroup"),
      `0::/kubepods.slice/kubepods-pod${uid.replaceAll("-", "_")}.slice/cri-1.scope\n`,
    );
    symlinkSync(pod.netns, join(folder, "ns/net"));
  }

  test("a pod that started without its rules is mended, and the init container that has waited for them lets it go on", async () => {
    const { pod, uid } = await makePod("missed");
    const validation = pod.spawn({ uid: 65_534, gid: 65_534 }, [
      process.execPath,
      HEDDLE,
      "capture",
      "--check",
      "--timeout=60s",
    ]);
    const validated = new Promise((resolve) => validation.once("close", resolve));
    runs(pod, uid);
    await eventually("it is said", () => log.includes("pod shop/missed ran without its rules: they are set"), 30_000);
    assert.match(rulesOf(pod), /redirect to :15006/);
    assert.equal(await validated, 0);
  });

  test("at its end everything of the plugin is gone", async () => {
    const ended = new Promise((resolve) => daemon.once("close", resolve));
    daemon.kill("SIGTERM");
    assert.equal(await ended, 0);
    assert.deepEqual(JSON.parse(chain()), { ...LIST, name: "rewritten" });
    for (const path of [join(binDir, "heddle-cni"), join(confDir, "heddle-cni.kubeconfig")])
      assert.ok(!existsSync(path), path);
  });

  for (const { repair, what, isDone } of [
    {
      repair: "label",
      what: "it is labelled",
      isDone: (name: string) =>
        server.get("v1", "Pod", "shop", name)?.metadata.labels?.["heddle.dev/capture-missing"] === "true",
    },
    {
      repair: "delete",
      what: "it is deleted",
      isDone: (name: string) => {
        const pod = server.get("v1", "Pod", "shop", name);
        return pod === undefined || pod.metadata["deletionTimestamp"] !== undefined;
      },
    },
  ]) {
    test(`--repair=${repair}: of a pod without its rules ${what}, and rules are not set`, async () => {
      const name = `missed-${repair}`;
      const { pod, uid } = await makePod(name);
      runs(pod, uid);
      startDaemon(`--repair=${repair}`);
      await eventually(what, () => isDone(name), 30_000);
      assert.equal(rulesOf(pod), "");
      const ended = new Promise((resolve) => daemon.once("close", resolve));
      daemon.kill("SIGTERM");
      assert.equal(await ended, 0, log);
    });
  }
});
