import { type TestContext, test } from "node:test";
import { Client, credentials, Server, ServerCredentials, type ServerUnaryCall } from "@grpc/grpc-js";
import { http2Cluster, inlineRoutes, listener, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startSidecar } from "../harness/sidecar.ts";

const PATH = "/test.Service/Call";
const asIs = (bytes: Buffer): Buffer => bytes;

/** A server of grpc-js, which says of each call what it is busy with, as grpc-js writes it: in trailers. */
async function serve(t: TestContext, name: string, cpuUtilization: number): Promise<number> {
  const server = new Server({ "grpc.server_call_metric_recording": 1 });
  const method = { path: PATH, requestStream: false, responseStream: false };
  const bytes = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService(
    { call: { ...method, ...bytes } },
    {
      call(call: ServerUnaryCall<Buffer, Buffer>, answer: (error: null, message: Buffer) => void) {
        const recorder = call.getMetricsRecorder();
        recorder.recordCPUUtilizationMetric(cpuUtilization);
        recorder.recordQpsMetric(100);
        answer(null, Buffer.from(name));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  t.after(() => server.forceShutdown());
  return port;
}

test("calls go where servers of gRPC say that there is room", async (t) => {
  const ports = [await serve(t, "roomy", 0.2), await serve(t, "busy", 0.8)];
  const type =
    "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";
  const typed_config = {
    "@type": `type.googleapis.com/${type}`,
    blackout_period: "0s",
    weight_update_period: "0.1s",
  };
  const policies = [{ typed_extension_config: { name: "w", typed_config } }];
  const sidecar = await startSidecar(
    {
      node: { id: "default/web/1", cluster: "web" },
      static_resources: {
        listeners: [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
        clusters: [{ ...http2Cluster("app", ports), load_balancing_policy: { policies } }],
      },
    },
    t,
  );
  const client = new Client(`127.0.0.1:${await sidecar.port("in")}`, credentials.createInsecure());
  t.after(() => client.close());
  const call = (): Promise<string> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(PATH, asIs, asIs, Buffer.from("x"), (error, message) =>
        error === null ? resolve(String(message)) : reject(error),
      );
    });
  await eventually("four of five calls go to the roomy one", async () => {
    let roomy = 0;
    for (let i = 0; i < 100; i += 1) if ((await call()) === "roomy") roomy += 1;
    return Math.abs(roomy - 80) <= 1;
  });
});
