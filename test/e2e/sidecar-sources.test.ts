import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ServerCredentials } from "@grpc/grpc-js";
import { TestAuthority } from "@heddle/net/testing";
import { startControlPlane } from "../harness/control-plane.ts";
import {
  cluster,
  http2Cluster,
  inlineRoutes,
  type Json,
  listener,
  loadAssignment,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

async function serveHttp(t: TestContext, handle: RequestListener): Promise<number> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server that answers with its name. */
function upstream(t: TestContext, name: string): Promise<number> {
  return serveHttp(t, (_, response) => response.end(name));
}

/** A REST-JSON discovery service of one type, set by hand. */
async function restService(t: TestContext, path: string) {
  const state = { version: 0, resources: [] as Json[], asked: [] as string[] };
  const port = await serveHttp(t, (request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on("end", () => {
      const { versionInfo, resourceNames } = JSON.parse(text) as { versionInfo?: string; resourceNames?: string[] };
      state.asked.push(`${request.method} ${request.url} ${resourceNames?.join(" ")}`);
      if (request.url !== path) response.writeHead(404).end();
      else if (versionInfo === String(state.version)) response.writeHead(304).end();
      else response.end(JSON.stringify({ version_info: String(state.version), resources: state.resources }));
    });
  });
  const set = (...resources: Json[]): void => {
    state.version += 1;
    state.resources = resources;
  };
  return { port, set, asked: state.asked };
}

const NODE = { id: "default/test/1", cluster: "test" };
const ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

function api(fields: Json): Json {
  return { resource_api_version: "V3", api_config_source: { transport_api_version: "V3", ...fields } };
}

function grpc(api_type: "GRPC" | "DELTA_GRPC", cluster_name: string): Json {
  return api({ api_type, grpc_services: [{ envoy_grpc: { cluster_name } }] });
}

function edsFrom(name: string, eds_config: Json): Json {
  return { name, type: "EDS", connect_timeout: "20s", eds_cluster_config: { eds_config } };
}

async function answerOf(sidecar: SidecarProcess, name: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${await sidecar.port(name)}/`)).text();
}

test("statement 10: listeners of a file, routes and clusters over streams of their own, endpoints by polling: each is followed", async (t) => {
  const lds = join(scratchFolder(t), "lds.json");
  const putListener = (name: string): void => {
    const rds = { route_config_name: "r", config_source: grpc("GRPC", "rds") };
    const resource = listener({ name, routes: { rds } });
    writeFileSync(`${lds}.new`, JSON.stringify({ resources: [{ "@type": LISTENER, ...resource }] }));
    renameSync(`${lds}.new`, lds);
  };
  const putEndpoints = (...ports: number[]): void => rest.set({ "@type": ENDPOINTS, ...loadAssignment("app", ports) });
  const routesTo = (name: string): Json => ({ name: "r", virtual_hosts: [virtualHost("*", name)] });

  const rest = await restService(t, "/v3/discovery:endpoints");
  const byRest = api({ api_type: "REST", cluster_names: ["rest"], refresh_delay: "0.1s", request_timeout: "5s" });
  const app = edsFrom("app", byRest);
  const rds = await startControlPlane(t, { routes: [routesTo("app")] });
  const cds = await startControlPlane(t, { clusters: [app] });
  putListener("in");
  putEndpoints(await upstream(t, "first"));
  const sidecar = await startSidecar(
    {
      node: NODE,
      dynamic_resources: {
        lds_config: { resource_api_version: "V3", path_config_source: { path: lds } },
        cds_config: grpc("DELTA_GRPC", "cds"),
      },
      static_resources: {
        clusters: [http2Cluster("rds", [rds.port]), http2Cluster("cds", [cds.port]), cluster("rest", [rest.port])],
      },
    },
    t,
  );
  assert.equal(await answerOf(sidecar, "in"), "first");
  assert.equal(rest.asked[0], "POST /v3/discovery:endpoints app");

  putEndpoints(await upstream(t, "second"));
  await eventually("endpoints are polled", async () => (await answerOf(sidecar, "in")) === "second");
  cds.set({ clusters: [app, cluster("other", [await upstream(t, "third")])] });
  rds.set({ routes: [routesTo("other")] });
  await eventually("clusters and routes are streamed", async () => (await answerOf(sidecar, "in")) === "third");
  putListener("renamed");
  await eventually("the file is followed", () => sidecar.listens("renamed"));
  assert.equal(await answerOf(sidecar, "renamed"), "third");
  assert.equal(await sidecar.stat("cluster_manager.cds.control_plane.connected_state"), 1);
  assert.ok((await sidecar.stat("listener_manager.lds.update_success")) >= 2);
});

test("statement 10: self asks whoever brought the resource", async (t) => {
  const self = { resource_api_version: "V3", self: { transport_api_version: "V3" } };
  const port = await upstream(t, "found");
  const cds = await startControlPlane(t, {
    clusters: [edsFrom("app", self)],
    endpoints: [loadAssignment("app", [port])],
  });
  const sidecar = await startSidecar(
    {
      node: NODE,
      dynamic_resources: { cds_config: grpc("GRPC", "cds") },
      static_resources: {
        listeners: [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
        clusters: [http2Cluster("cds", [cds.port])],
      },
    },
    t,
  );
  await eventually("the cluster serves", async () => (await answerOf(sidecar, "in")) === "found");
});

test("a control plane proves who it is, by the TLS of its cluster, and is shown the sidecar's certificate; the next stands in", async (t) => {
  const authority = new TestAuthority();
  const credentials = (name: string): ServerCredentials => {
    const { chain, key } = authority.issue({ commonName: name, dns: [name] });
    const pair = { cert_chain: Buffer.from(chain), private_key: Buffer.from(key) };
    return ServerCredentials.createSsl(Buffer.from(authority.certificate), [pair], true);
  };
  const world = async (name: string) => ({ clusters: [cluster("app", [await upstream(t, name)])] });
  const wrong = await startControlPlane(t, await world("wrong"), 0, credentials("else.test"));
  const right = await startControlPlane(t, await world("right"), 0, credentials("cp.test"));
  const own = authority.issue({ commonName: "web" });
  const tls = {
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: "cp.test",
        common_tls_context: {
          tls_certificates: [
            { certificate_chain: { inline_string: own.chain }, private_key: { inline_string: own.key } },
          ],
          validation_context: {
            trusted_ca: { inline_string: authority.certificate },
            match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "cp.test" } }],
          },
        },
      },
    },
  };
  const sidecar = await startSidecar(
    {
      node: NODE,
      dynamic_resources: {
        ads_config: {
          api_type: "DELTA_GRPC",
          transport_api_version: "V3",
          grpc_services: ["wrong", "right"].map((cluster_name) => ({ envoy_grpc: { cluster_name } })),
        },
        cds_config: { ads: {}, resource_api_version: "V3" },
      },
      static_resources: {
        listeners: [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
        clusters: [http2Cluster("wrong", [wrong.port], tls), http2Cluster("right", [right.port], tls)],
      },
    },
    t,
  );
  await eventually("the cluster serves", async () => (await answerOf(sidecar, "in")) === "right");
  assert.equal(wrong.nodes().length, 0);
  assert.match(sidecar.log, /no name of the certificate is one that is asked for/);
});

const LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener";
