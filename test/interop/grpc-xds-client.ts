import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { register } from "@grpc/grpc-js-xds";
import { eventually } from "../harness/eventually.ts";

/*
 * gRPC's own xDS client, which shares no line with ours, and a gRPC service that says who answered. For any control plane.
 */

const WHO_AM_I = "/heddle.test.Who/AmI";

/** A gRPC server on a free port that answers every call with its name. */
export async function namedServer(name: string): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = new Server();
  server.addService(
    { whoAmI: method(WHO_AM_I) },
    { whoAmI: (_call: unknown, answer: (error: null, value: Buffer) => void) => answer(null, Buffer.from(name)) },
  );
  const port = await listen(server);
  return { port, close: async () => server.forceShutdown() };
}

/** Binds to a free port of loopback, plaintext. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

export interface XdsCaller {
  /** The name of the server that answered. */
  call(): Promise<string>;
  close(): void;
}

/** A gRPC client of `xds:///<name>` that knows nothing but where the control plane is. */
export function xdsCaller({ name, controlPlanePort, nodeId }: XdsCallerOptions): XdsCaller {
  register();
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
  const client = new Client(`xds:///${name}`, credentials.createInsecure(), {
    // The only way to have several bootstraps in one process; a real client reads the environment.
    "grpc.TEST_ONLY_DO_NOT_USE_IN_PROD.xds_bootstrap_config": JSON.stringify(bootstrap),
  });
  return {
    call() {
      return new Promise((resolve, reject) => {
        const deadline = new Date(Date.now() + 5000);
        client.makeUnaryRequest(WHO_AM_I, asIs, asIs, Buffer.alloc(0), { deadline }, (error, value) =>
          error === null ? resolve(String(value)) : reject(error),
        );
      });
    },
    close: () => client.close(),
  };
}

/**
 * Closes callers and waits until the control plane has seen their streams end. To be done before it stops: a client that
 * is closed while it waits for its control plane to come back holds this process for ever.
 */
export async function closeCallers(
  callers: readonly { close(): void }[],
  connectedNodes: () => number | Promise<number>,
): Promise<void> {
  for (const caller of callers) caller.close();
  await eventually("the callers' streams have ended", async () => (await connectedNodes()) === 0);
}

export interface XdsCallerOptions {
  /** What stands after "xds:///": a listener of the control plane. */
  readonly name: string;
  readonly controlPlanePort: number;
  readonly nodeId: string;
}

function method(path: string) {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
