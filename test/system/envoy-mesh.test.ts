import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, test } from "node:test";
import { freePort } from "../../bench/path/peer.ts";
import { adsBootstrap } from "../harness/control-plane.ts";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { type Json, listener, loadAssignment, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startFileControlPlane } from "../harness/file-control-plane.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { answersAre } from "../harness/swapped-world.ts";

for (const variant of ["sotw", "delta"] as const) {
  describe(`a real Envoy in a mesh of ours (${variant})`, { skip: skipWithoutEnvoy }, () => {
    test("in a sidecar's place it takes calls in and out, and follows workloads and routes under load", async (t) => {
      const owner = lastFirst(t);
      const [stable, canary, application] = [await named("stable"), await named("canary"), await named("web")];
      const [outboundPort, publicPort] = [await freePort(), await freePort()];
      const mesh = await startFileControlPlane(
        {
          "services.yaml": service("orders") + service("canary"),
          "orders.yaml": workload("orders-1", "orders", stable.port),
          "canary.yaml": workload("canary-1", "canary", canary.port),
          "web.yaml": webWorkload(publicPort, application.port, outboundPort),
        },
        owner,
      );
      const bootstrap = adsBootstrap(mesh.xdsPort, variant);
      const envoy = await startEnvoy({ ...bootstrap, node: { id: "default/web/1", cluster: "web" } }, owner);
      assert.equal(await call(publicPort, "web.example"), "web");
      assert.equal(await call(outboundPort, "orders"), "stable");
      assert.equal(await call(outboundPort, "orders.default.svc.cluster.local:80"), "stable");

      const load = startLoad(`http://127.0.0.1:${outboundPort}/`, 4, t, { headers: { host: "orders" } });
      owner.after(() => load.stop()); // or a failed test would never end
      await answersAre(load, "stable");
      await mesh.write("route.yaml", routeTo("orders", "canary"));
      await answersAre(load, "canary");
      await mesh.write("route.yaml", routeTo("orders", "orders"));
      await answersAre(load, "stable");
      const other = await named("other");
      await mesh.write("orders.yaml", workload("orders-1", "orders", other.port));
      await answersAre(load, "other");
      assert.deepEqual([...(await load.stop()).failures], []);
      assert.deepEqual(await mesh.rejections(), []);
      assert.deepEqual(await envoy.warming(), []);

      async function named(name: string): Promise<RawUpstream> {
        const upstream = await RawUpstream.listen(owner);
        upstream.answerAll(`HTTP/1.1 200 OK\r\ncontent-length: ${name.length}\r\n\r\n${name}`);
        return upstream;
      }
    });

    for (const transport of ["ads", "separate streams"] as const) {
      test(`it is given raw resources for its node group, over ${transport}, beside the generated clusters`, async (t) => {
        const owner = lastFirst(t);
        const upstream = await RawUpstream.listen(owner);
        upstream.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        const source = transport === "ads" ? ADS : ownStreams(variant);
        const mesh = await startFileControlPlane(
          {
            "services.yaml": service("orders"),
            "orders.yaml": workload("orders-1", "orders", upstream.port),
            "edge.json": JSON.stringify(edgeResources(source, upstream.port)),
          },
          owner,
        );
        const bootstrap = adsBootstrap(mesh.xdsPort, variant);
        const node = { id: "edge-1", cluster: "edge", metadata: { heddle: { namespace: "default", outboundPort: 0 } } };
        // The endpoints of generated clusters come by ADS in any case.
        const dynamic_resources = {
          ...(bootstrap["dynamic_resources"] as Json),
          lds_config: source,
          cds_config: source,
        };
        const envoy = await startEnvoy({ ...bootstrap, node, dynamic_resources }, owner);
        const port = await envoy.port("edge");
        assert.equal(await call(port, "raw.example"), "ok");
        assert.equal(await call(port, "generated.example"), "ok");
        await mesh.write("edge.json", JSON.stringify(edgeResources(source, upstream.port, "renamed.example")));
        await eventually("the route follows", async () => (await call(port, "renamed.example")) === "ok");
        assert.deepEqual(await mesh.rejections(), []);
        assert.deepEqual(await envoy.warming(), []);
      });
    }
  });
}

const ADS: Json = { ads: {}, resource_api_version: "V3" };

/** A stream for each type, and for each RDS and EDS subscription. */
function ownStreams(variant: "sotw" | "delta"): Json {
  return {
    resource_api_version: "V3",
    api_config_source: {
      api_type: variant === "sotw" ? "GRPC" : "DELTA_GRPC",
      transport_api_version: "V3",
      grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
    },
  };
}

/** A listener with routes to a raw cluster and to a generated one. */
function edgeResources(source: Json, upstreamPort: number, rawHost = "raw.example"): Json {
  const http = { rds: { config_source: source, route_config_name: "edge" } };
  return {
    for: { "node.cluster": "edge" },
    resources: [
      { "@type": `${TYPES}.listener.v3.Listener`, ...listener({ name: "edge", routes: http }) },
      {
        "@type": `${TYPES}.route.v3.RouteConfiguration`,
        name: "edge",
        virtual_hosts: [virtualHost(rawHost, "raw"), virtualHost("generated.example", "outbound/80/orders.default")],
      },
      {
        "@type": `${TYPES}.cluster.v3.Cluster`,
        name: "raw",
        type: "EDS",
        connect_timeout: "1s",
        eds_cluster_config: { eds_config: source },
      },
      { "@type": `${TYPES}.endpoint.v3.ClusterLoadAssignment`, ...loadAssignment("raw", [upstreamPort]) },
    ],
  };
}

const TYPES = "type.googleapis.com/envoy.config";

function call(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: "127.0.0.1", path: "/", headers: { host }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.once("end", () => resolve(response.statusCode === 200 ? body : `${response.statusCode} ${body}`));
    });
    asked.once("error", reject);
    asked.end();
  });
}

function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, appProtocol: http }] }
---
`;
}

function workload(name: string, app: string, port: number): string {
  return `apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { addresses: [127.0.0.1], ports: [{ name: http, protocol: http, port: ${port} }] }
---
`;
}

function webWorkload(port: number, applicationPort: number, outboundPort: number): string {
  return `apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: web, labels: { app: web } }
spec:
  addresses: [127.0.0.1]
  outboundPort: ${outboundPort}
  ports: [{ name: http, protocol: http, port: ${port}, applicationPort: ${applicationPort} }]
`;
}

function routeTo(service: string, backend: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${service} }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${service} }]
  rules: [{ backendRefs: [{ name: ${backend}, port: 80 }] }]
`;
}
