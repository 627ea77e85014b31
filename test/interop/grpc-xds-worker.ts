import { parentPort } from "node:worker_threads";
import { Client, credentials } from "@grpc/grpc-js";
import { register } from "@grpc/grpc-js-xds";
import { PATIENCE_MS } from "../harness/eventually.ts";
import { asIs, type Order, type Report, WHO_AM_I } from "./grpc-xds-orders.ts";

/*
 * The thread of `XdsClients`: gRPC clients of "xds:///<name>", by number.
 */

register();
const clients = new Map<number, Client>();
const port = parentPort;
port?.on("message", (order: Order) => {
  switch (order.order) {
    case "open":
      clients.set(order.client, open(order.name, order.controlPlanePort, order.nodeId));
      break;
    case "call": {
      const { call } = order;
      const deadline = new Date(Date.now() + PATIENCE_MS);
      clients
        .get(order.client)
        ?.makeUnaryRequest(WHO_AM_I, asIs, asIs, Buffer.alloc(0), { deadline }, (error, value) => {
          const report: Report = { call, error: error?.message, answer: String(value) };
          port.postMessage(report);
        });
      break;
    }
    case "close":
      clients.get(order.client)?.close();
      clients.delete(order.client);
      break;
  }
});

function open(name: string, controlPlanePort: number, nodeId: string): Client {
  const bootstrap = {
    xds_servers: [
      {
        server_uri: `127.0.0.1:${controlPlanePort}`,
        channel_creds: [{ type: "insecure" }],
        server_features: ["xds_v3"],
      },
    ],
    node: { id: nodeId, cluster: "interop", locality: {} },
  };
  return new Client(`xds:///${name}`, credentials.createInsecure(), {
    // The only way to have several bootstraps in one process; a real client reads the environment.
    "grpc.TEST_ONLY_DO_NOT_USE_IN_PROD.xds_bootstrap_config": JSON.stringify(bootstrap),
  });
}
