import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { freePort } from "../../bench/path/peer.ts";
import { bytesOf } from "../harness/echo-server.ts";
import { eventually } from "../harness/eventually.ts";
import { IdentityMesh } from "../harness/identity-mesh.ts";
import { lastFirst } from "../harness/owner.ts";

/** What becomes of an attempt; the one after the last is answered. */
const FAULTS = {
  "503": (response: ServerResponse) => response.writeHead(503).end(),
  "429": (response: ServerResponse) => response.writeHead(429).end(),
  reset: (response: ServerResponse) => response.socket?.resetAndDestroy(),
  silent: () => undefined,
} as const;

test("what an HTTPRoute says of retries is done by the caller's sidecar", { timeout: 60_000 }, async (t) => {
  const owner = lastFirst(t);
  let faults: (keyof typeof FAULTS)[] = [];
  const bodies: string[] = [];
  const server = createServer((asked, response) => {
    void bytesOf(asked).then((body) => {
      bodies.push(body.toString());
      const fault = faults.shift();
      if (fault === undefined) response.end();
      else FAULTS[fault](response);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  owner.after(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const mesh = await IdentityMesh.start(owner);
  const outboundPort = await freePort();
  const rule = (prefix: string, more: string): string =>
    `{ matches: [{ path: { value: ${prefix} } }], backendRefs: [{ name: stock, port: 80 }], ${more} }`;
  mesh.put(`
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: web }
spec: { addresses: [127.0.0.1], outboundPort: ${outboundPort}, serviceAccount: web }
---
apiVersion: v1
kind: Service
metadata: { name: stock }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: stock, labels: { kubernetes.io/service-name: stock } }
addressType: IPv4
ports: [{ name: http, port: ${port} }]
endpoints: [{ addresses: [127.0.0.1] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: stock }
spec:
  parentRefs: [{ group: "", kind: Service, name: stock }]
  rules:
    - ${rule("/codes", "retry: { codes: [503], attempts: 2, backoff: 1ms }")}
    - ${rule("/unanswered", "retry: { attempts: 3, backoff: 1ms }, timeouts: { backendRequest: 200ms }")}
    - ${rule("/", "timeouts: { request: 5s }")}
`);
  await mesh.run({ name: "web" });
  const post = (path: string): Promise<number> =>
    new Promise((resolve) => {
      const headers = { host: "stock" };
      const asked = request({ host: "127.0.0.1", port: outboundPort, path, method: "POST", headers, agent: false });
      asked.on("response", (answer) => resolve(answer.resume().statusCode ?? 0)).on("error", () => resolve(0));
      asked.end("goods");
    });
  await eventually("web reaches stock", async () => (await post("/")) === 200);

  for (const [path, planned, status, attempts] of [
    ["/codes", ["503", "503"], 200, 3],
    ["/codes", ["503", "503", "503"], 503, 3],
    ["/codes", ["reset", "503"], 200, 3],
    ["/codes", ["429"], 429, 1],
    ["/unanswered", ["reset", "silent"], 200, 3],
    ["/unanswered", ["503"], 503, 1],
    ["/", ["503"], 503, 1],
  ] as const) {
    faults = [...planned];
    bodies.length = 0;
    assert.equal(await post(path), status, `${path} ${planned.join()}`);
    assert.deepEqual(
      bodies,
      Array.from({ length: attempts }, () => "goods"),
      `${path} ${planned.join()}`,
    );
  }
});
