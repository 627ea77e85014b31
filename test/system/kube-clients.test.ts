import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { givenKubeconfig } from "../harness/given-kube-api-server.ts";
import { type KubeEndpoint, ownNamespace } from "../harness/kube/kube-requests.ts";
import { adminKubeconfig } from "../harness/kube/kubeconfig.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { type Kubectl, kubectlOf, noKubectl } from "../harness/kubectl.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { noRealKubeApiServer, realKubeApiServer, startRealKubeApiServer } from "../harness/real-kube-api-server.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* kubectl and Debian's client for Python find the same in the API server of the tests and in a real one. */

const PYTHON = "/usr/bin/python3";
const noPython =
  spawnSync(PYTHON, ["-c", "import kubernetes"]).status === 0 ? false : "not installed: python3-kubernetes";

const MANIFEST = `
apiVersion: v1
kind: Service
metadata: { name: web, labels: { app: web } }
spec: { selector: { app: web }, ports: [{ name: http, port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      nodeSelector: { heddle.dev/test: none }
      containers: [{ name: web, image: web, ports: [{ containerPort: 80 }] }]
`;

const servers: readonly (readonly [string, (owner: Owner) => Promise<KubeEndpoint>, string | false])[] = [
  ["the API server of the tests", (owner) => KubeApiServer.start(owner), false],
  [realKubeApiServer, startRealKubeApiServer, noRealKubeApiServer],
];

for (const [name, start, skip] of servers)
  describe(`clients of ${name}`, { skip }, () => {
    const owner = lastFirst({ after });
    let server: KubeEndpoint;
    let folder: string;
    let namespace: string;
    // A cluster of somebody has its own range of Services' addresses.
    const serviceIp =
      givenKubeconfig !== undefined && name === realKubeApiServer
        ? String.raw`[\da-f.:]+`
        : String.raw`10\.96\.\d+\.\d+`;
    before(async () => {
      server = await start(owner);
      folder = scratchFolder(owner);
      namespace = await ownNamespace(owner, server, "kubectl");
    });

    describe("kubectl", { skip: noKubectl }, () => {
      let run: Kubectl;
      let manifest: string;
      before(() => {
        run = kubectlOf(server, folder, namespace);
        manifest = join(folder, "manifest.yaml");
        writeFileSync(manifest, MANIFEST);
      });
      /** The words as in a shell, without quotes. */
      const says = async (words: string, expected: RegExp): Promise<void> => {
        const { ok, output } = await run(...words.split(" "));
        assert.ok(ok, `kubectl ${words}: ${output}`);
        assert.match(output, expected);
      };

      test("apply makes, then leaves alone, then changes what differs", async () => {
        await says(`apply -f ${manifest}`, /service\/web created\ndeployment.apps\/web created/);
        await says(`apply -f ${manifest}`, /service\/web unchanged\ndeployment.apps\/web unchanged/);
        writeFileSync(manifest, MANIFEST.replace("port: 80 }]", "port: 80 }, { name: more, port: 81 }]"));
        await says(`apply -f ${manifest}`, /service\/web configured/);
        await says("get service web -o jsonpath={.spec.ports[*].port}", /^80 81$/);
      });

      test("apply on the server takes over what kubectl applied before, and changes nothing", async () => {
        await says("get service web -o jsonpath={.spec.clusterIP}", new RegExp(`^${serviceIp}$`));
        const { output: before } = await run("get", "service", "web", "-o", "jsonpath={.spec}");
        await says(`apply --server-side -f ${manifest}`, /service\/web serverside-applied/);
        assert.equal((await run("get", "service", "web", "-o", "jsonpath={.spec}")).output, before);
        const refused = await run("apply", "--server-side", "--field-manager=other", "-f", manifest);
        assert.ok(refused.ok, "the same values are no conflict");
      });

      test("get, describe, label, patch, wait and delete", async () => {
        await says(
          "get services,deployments",
          new RegExp(`service/web +ClusterIP +${serviceIp} +<none> +80/TCP,81/TCP`),
        );
        await says("describe service web", /Port: +http +80\/TCP/);
        await says("label service web tier=front", /service\/web labeled/);
        await says("get services -l tier=front -o name", /^service\/web\n$/);
        await says(
          'patch deployment web -p {"spec":{"template":{"spec":{"containers":[{"name":"side","image":"x"}]}}}}',
          /patched/,
        );
        await says("get deployment web -o jsonpath={.spec.template.spec.containers[*].name}", /^(web side|side web)$/);
        await says("delete service web", /service "web" deleted/);
        assert.match(
          (await run("get", "service", "web")).output,
          /Error from server \(NotFound\): services "web" not found/,
        );
        await says("api-resources --api-group=discovery.k8s.io", /endpointslices/);
      });
    });

    test("python3-kubernetes lists in chunks, follows, and is refused as in a cluster", {
      skip: noPython,
    }, async () => {
      const kubeconfig = join(folder, "python.yaml");
      writeFileSync(kubeconfig, adminKubeconfig(server), { mode: 0o600 });
      const script = join(import.meta.dirname, "peers/kube_client.py");
      const { stdout } = await promisify(execFile)(
        PYTHON,
        [script, kubeconfig, await ownNamespace(owner, server, "python"), serviceIp],
        { timeout: 60_000 },
      );
      assert.equal(stdout, "ok\n");
    });
  });
