import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Installation } from "./installation.ts";
import { networkNamespaces } from "./repair.ts";

function makeNode(t: TestContext): {
  installation: Installation;
  confDir: string;
  binDir: string;
  log: string[];
  setToken(text: string): void;
} {
  const folder = mkdtempSync(join(tmpdir(), "heddle-cni-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [confDir, binDir] = [join(folder, "net.d"), join(folder, "bin")];
  mkdirSync(confDir);
  const log: string[] = [];
  let token = "token 1";
  const installation = new Installation({
    binDir,
    confDir,
    kubeconfigFile: join(confDir, "heddle-cni.kubeconfig"),
    kubeconfigText: () => token,
    kubeconfig: "/etc/cni/net.d/heddle-cni.kubeconfig",
    backend: "auto",
    excludeNamespaces: [],
    argv: ["/usr/bin/node", "it's.js"],
    files: new Map(),
    log: (line) => log.push(line),
  });
  return { installation, confDir, binDir, log, setToken: (text) => (token = text) };
}

const LIST = `${JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge" }] }, null, 2)}\n`;

test("program, kubeconfig and chain are written, the secret for nobody else to read, and only once", (t) => {
  const { installation, confDir, binDir, log } = makeNode(t);
  writeFileSync(join(confDir, "10-net.conflist"), LIST);
  assert.ok(installation.ensure());
  const script = join(binDir, "heddle-cni");
  assert.match(readFileSync(script, "utf8"), /^exec '\/usr\/bin\/node' 'it'\\''s\.js' "\$@"$/m);
  assert.equal(statSync(script).mode & 0o777, 0o755);
  assert.equal(statSync(join(confDir, "heddle-cni.kubeconfig")).mode & 0o777, 0o600);
  assert.match(readFileSync(join(confDir, "10-net.conflist"), "utf8"), /"heddle-cni"/);
  const written = log.length;
  assert.ok(installation.ensure());
  assert.equal(log.length, written);
  assert.deepEqual(readdirSync(confDir).toSorted(), ["10-net.conflist", "heddle-cni.kubeconfig"]);
});

test("a chain that somebody rewrites gets the plugin again, and a renewed token is written", (t) => {
  const { installation, confDir, setToken } = makeNode(t);
  const path = join(confDir, "10-net.conflist");
  writeFileSync(path, LIST);
  installation.ensure();
  writeFileSync(path, LIST);
  setToken("token 2");
  installation.ensure();
  assert.match(readFileSync(path, "utf8"), /"heddle-cni"/);
  assert.equal(readFileSync(join(confDir, "heddle-cni.kubeconfig"), "utf8"), "token 2");
});

test("without a configuration, or with half a one, it waits, says so once, and leaves the file alone", (t) => {
  const { installation, confDir, log } = makeNode(t);
  assert.ok(!installation.ensure());
  assert.ok(!installation.ensure());
  assert.equal(log.filter((line) => line.startsWith("waiting:")).length, 1);
  writeFileSync(join(confDir, "10-net.conflist"), LIST.slice(0, 30));
  assert.ok(!installation.ensure());
  assert.equal(readFileSync(join(confDir, "10-net.conflist"), "utf8"), LIST.slice(0, 30));
});

test("at the end everything is as it was", (t) => {
  const { installation, confDir, binDir } = makeNode(t);
  writeFileSync(join(confDir, "10-net.conflist"), LIST);
  installation.ensure();
  installation.remove();
  assert.deepEqual(readdirSync(confDir), ["10-net.conflist"]);
  assert.equal(readFileSync(join(confDir, "10-net.conflist"), "utf8"), LIST);
  assert.deepEqual(readdirSync(binDir), []);
  installation.remove();
});

test("a configuration of one plugin becomes a list beside it, and comes back at the end", (t) => {
  const { installation, confDir } = makeNode(t);
  const conf = '{"cniVersion":"0.3.1","name":"net","type":"bridge"}';
  writeFileSync(join(confDir, "10-net.conf"), conf);
  assert.ok(installation.ensure());
  assert.ok(installation.ensure());
  assert.ok(!existsSync(join(confDir, "10-net.conf")), "a runtime would take it before the list");
  assert.match(readFileSync(join(confDir, "10-net.conflist"), "utf8"), /"heddle-cni"/);
  installation.remove();
  assert.deepEqual(readdirSync(confDir), ["10-net.conf"]);
  assert.equal(readFileSync(join(confDir, "10-net.conf"), "utf8"), conf);
});

test("the network namespace of a pod is that of a process in its control group, by either driver", (t) => {
  const proc = mkdtempSync(join(tmpdir(), "heddle-proc-"));
  t.after(() => rmSync(proc, { recursive: true }));
  const process = (pid: string, cgroup: string): void => {
    mkdirSync(join(proc, pid, "ns"), { recursive: true });
    writeFileSync(join(proc, pid, "cgroup"), cgroup);
    symlinkSync("/run/netns/x", join(proc, pid, "ns/net"));
  };
  process("7", "0::/kubepods.slice/kubepods-pod1b4f0e9a_0000_4000_8000_00000000000a.slice/cri-containerd-1.scope\n");
  process("8", "1:cpu:/kubepods/burstable/pod1b4f0e9a-0000-4000-8000-00000000000b/1\n");
  process("9", "0::/system.slice/sshd.service\n");
  mkdirSync(join(proc, "10")); // it has just ended
  mkdirSync(join(proc, "sys"));
  assert.deepEqual(
    [...networkNamespaces(proc)],
    [
      ["1b4f0e9a-0000-4000-8000-00000000000a", join(proc, "7/ns/net")],
      ["1b4f0e9a-0000-4000-8000-00000000000b", join(proc, "8/ns/net")],
    ],
  );
});
