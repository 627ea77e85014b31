import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "@heddle/net/testing";
import { kubeApiServerProgram } from "../../scripts/kube-api-server.ts";
import { etcdctl, noEtcd, startEtcd } from "./etcd.ts";
import { eventually } from "./eventually.ts";
import { givenKubeApiServer, givenKubeconfig } from "./given-kube-api-server.ts";
import { type KubeEndpoint, kubeRequest } from "./kube/kube-requests.ts";
import { adminKubeconfig } from "./kube/kubeconfig.ts";
import type { Owner } from "./owner.ts";

/** Which real API server tests run against: that of HEDDLE_TEST_KUBECONFIG, else the one that was built. */
export const realKubeApiServer =
  givenKubeconfig === undefined ? "a real kube-apiserver" : "the API server of HEDDLE_TEST_KUBECONFIG";

/** Why tests against it skip; false where there is one. */
export const noRealKubeApiServer: string | false =
  givenKubeconfig !== undefined
    ? false
    : existsSync(kubeApiServerProgram)
      ? noEtcd
      : "kube-apiserver has not been built: npm run kube-apiserver (half an hour); or say HEDDLE_TEST_KUBECONFIG";

export interface RealKubeApiServer extends KubeEndpoint {
  readonly noInitialEvents?: string;
  /** A file of an administrator. */
  kubeconfig(): string;
  /** Compacts etcd and starts the server again: versions from before are too old. Undefined: it is not ours to start again. */
  readonly forget: (() => Promise<void>) | undefined;
  /** What may be done to it. Undefined: it is not ours to end. */
  readonly outages: ServerOutages | undefined;
}

export interface ServerOutages {
  /** Ends it and starts it again on its port, with all that it knows. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Starts it again after `stop`. */
  listen(): Promise<void>;
  /** Versions from before are too old. */
  forget(): Promise<void>;
  /** Keeps what there is now; `restore` starts the server again with that and nothing else. Left out: it cannot. */
  backUp?(): Promise<{ restore(): Promise<void> }>;
  /** Answers that late; left out: it cannot. */
  setLatency?(ms: number): void;
}

export async function startRealKubeApiServer(owner: Owner): Promise<RealKubeApiServer> {
  if (givenKubeconfig === undefined) return startBuiltKubeApiServer(owner);
  const given = await givenKubeApiServer(givenKubeconfig);
  return { ...given, kubeconfig: () => adminKubeconfig(given), forget: undefined, outages: undefined };
}

const START_MS = 120_000;

/** A real kube-apiserver, of its own etcd, without controllers, scheduler or nodes. */
async function startBuiltKubeApiServer(owner: Owner): Promise<RealKubeApiServer> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-kube-"));
  owner.after(() => rmSync(folder, { recursive: true }));
  const [etcd] = await startEtcd(owner);
  const authority = new TestAuthority("Kubernetes");
  const serving = authority.issue({
    commonName: "kube-apiserver",
    dns: ["localhost", "kubernetes.default.svc"],
    ips: ["127.0.0.1"],
    usage: "server",
  });
  const accounts = authority.issue({ commonName: "service-accounts" });
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const adminToken = "administrator";
  const port = await freePort();
  const flags = {
    "etcd-servers": `http://${etcd!.endpoint}`,
    "bind-address": "127.0.0.1",
    "advertise-address": "127.0.0.1",
    "secure-port": String(port),
    "endpoint-reconciler-type": "none",
    "tls-cert-file": file("serving.pem", serving.chain),
    "tls-private-key-file": file("serving.key", serving.key),
    "client-ca-file": file("ca.pem", authority.certificate),
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": file("accounts.pem", accounts.certificate),
    "service-account-signing-key-file": file("accounts.key", accounts.key),
    "service-cluster-ip-range": "10.96.0.0/16",
    "authorization-mode": "RBAC",
    "token-auth-file": file("tokens.csv", `${adminToken},admin,admin,"system:masters"\n`),
    // Without controllers nobody makes the service accounts that this plugin wants pods to have.
    "disable-admission-plugins": "ServiceAccount",
    profiling: "false",
  };
  const log = join(folder, "log");
  let child: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL"); // a polite end waits for the watches of others
    await ended;
  };
  const endpoint: KubeEndpoint = { url: `https://127.0.0.1:${port}`, ca: authority.certificate, adminToken };
  const start = async (): Promise<void> => {
    const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    child = spawn("/bin/sh", ["-c", `exec "$0" "$@" 2>>${log}`, kubeApiServerProgram, ...argv], { stdio: "ignore" });
    const started = child;
    const isReady = async (): Promise<boolean> => {
      if (started.exitCode !== null)
        throw new Error(`kube-apiserver ended:\n${readFileSync(log, "utf8").slice(-4000)}`);
      return kubeRequest(endpoint, "GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      );
    };
    await eventually("kube-apiserver is ready", isReady, START_MS);
    const hasNamespace = async () => (await kubeRequest(endpoint, "GET", "/api/v1/namespaces/default")).status === 200;
    await eventually("the namespace default is there", hasNamespace, START_MS);
  };
  owner.after(stop);
  await start();
  const forget = async (): Promise<void> => {
    await stop();
    const status = JSON.parse(etcdctl(etcd!.endpoint, "endpoint", "status", "-w", "json").output) as readonly {
      Status: { header: { revision: number } };
    }[];
    etcdctl(etcd!.endpoint, "compaction", String(status[0]!.Status.header.revision));
    await start();
  };
  const backUp = async () => {
    const backup = join(folder, "backup");
    etcd!.backup(backup);
    const restore = async (): Promise<void> => {
      await stop();
      await etcd!.kill("SIGKILL");
      etcd!.restore(backup);
      etcd!.start();
      await start();
    };
    return { restore };
  };
  const restart = async (): Promise<void> => {
    await stop();
    await start();
  };
  return {
    ...endpoint,
    noInitialEvents: "Debian's etcd 3.4 cannot say how far its watches are (RequestWatchProgress)",
    kubeconfig: () => adminKubeconfig(endpoint),
    forget,
    outages: { restart, stop, listen: start, forget, backUp },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
