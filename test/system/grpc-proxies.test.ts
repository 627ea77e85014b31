import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { HAPROXY, haproxyH2, NGHTTPX, NGINX, nghttpxH2, nginxH2 } from "../harness/h2-proxies.ts";
import { lastFirst } from "../harness/owner.ts";
import { startChain } from "../harness/sidecar-chain.ts";
import { GRPC_CASES, GrpcCaller } from "../interop/grpc-cases.ts";
import { startGrpcPeer } from "../interop/grpc-peer.ts";

const missing = [HAPROXY, NGINX, NGHTTPX].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const WAYS = [
  "HAProxy, then a sidecar",
  "nginx, then a sidecar",
  "nghttpx, then a sidecar",
  "a sidecar, then HAProxy",
  "a sidecar, then nginx",
  "a sidecar, then nghttpx",
] as const;

/**
 * HAProxy 2.6 stands still when a client writes on while answers fill the stream's window: it holds bytes of the answer, has
 * window on both levels, and sends nothing until its timeout (grpc-js and a bare script of frames see that without a sidecar,
 * too). So HAProxy's clients here have a window, in bytes, that no streaming case fills.
 */
const ROOMY = 1 << 20;

describe("grpc-js through a sidecar beside other proxies of gRPC", { skip }, () => {
  const suite = lastFirst({ after });
  const callers = new Map<string, GrpcCaller>();

  before(async () => {
    const server = await startGrpcPeer(suite);
    const lanes = {
      direct: { port: server, speaks: "h2" },
      haproxy: { port: await haproxyH2(server, suite), speaks: "h2", http2: { initial_stream_window_size: ROOMY } },
      nginx: { port: await nginxH2(server, suite, { grpc: true }), speaks: "h2" },
      nghttpx: { port: await nghttpxH2(server, suite), speaks: "h2" },
    } as const;
    const { backPort } = await startChain(suite, lanes, { concurrency: 2 });
    const ports = {
      "HAProxy, then a sidecar": await haproxyH2(backPort("direct"), suite),
      "nginx, then a sidecar": await nginxH2(backPort("direct"), suite, { grpc: true }),
      "nghttpx, then a sidecar": await nghttpxH2(backPort("direct"), suite),
      "a sidecar, then HAProxy": backPort("haproxy"),
      "a sidecar, then nginx": backPort("nginx"),
      "a sidecar, then nghttpx": backPort("nghttpx"),
    };
    for (const way of WAYS) {
      const caller = new GrpcCaller(ports[way], { "grpc-node.flow_control_window": ROOMY });
      suite.after(() => caller.close());
      callers.set(way, caller);
    }
  });

  for (const way of WAYS)
    for (const [name, run] of Object.entries(GRPC_CASES)) test(`${way}: ${name}`, () => run(callers.get(way)!));
});
