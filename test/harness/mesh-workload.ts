import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { freePort } from "../../bench/path/peer.ts";
import type { Owner } from "./owner.ts";

/** A service, its account of the same name, and its application. */
export interface MeshWorkload {
  readonly name: string;
  /** Where others call it. */
  readonly port: number;
  /** Where it calls others. */
  readonly outboundPort: number;
  readonly applicationPort: number;
  /** The Service and the Workload, as YAML. */
  readonly yaml: string;
}

/** Starts the application, which answers with its name and the header that says who calls; its sidecar is another's business. */
export async function startMeshWorkload(name: string, owner: Owner): Promise<MeshWorkload> {
  const application = createServer((request, response) => {
    response.end(JSON.stringify({ name, client: request.headers["x-forwarded-client-cert"] ?? null }));
  }).listen(0, "127.0.0.1");
  await once(application, "listening");
  owner.after(() => application.close().closeAllConnections());
  const { port: applicationPort } = application.address() as AddressInfo;
  const [port, outboundPort] = [await freePort(), await freePort()];
  const yaml = `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ port: 80 }] }
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  addresses: [127.0.0.1]
  ports: [{ name: http, port: ${port}, applicationPort: ${applicationPort} }]
  outboundPort: ${outboundPort}
  serviceAccount: ${name}
`;
  return { name, port, outboundPort, applicationPort, yaml };
}
