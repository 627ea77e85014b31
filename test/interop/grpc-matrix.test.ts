import { after, before, describe, test } from "node:test";
import { lastFirst } from "../harness/owner.ts";
import { startChain } from "../harness/sidecar-chain.ts";
import { GRPC_CASES, GrpcCaller } from "./grpc-cases.ts";
import { startGrpcPeer } from "./grpc-peer.ts";

const WAYS = ["one sidecar", "two sidecars"] as const;

describe("grpc-js's client calls grpc-js's server", () => {
  const suite = lastFirst({ after });
  const callers = new Map<string, GrpcCaller>();

  before(async () => {
    const chain = await startChain(suite, { grpc: { port: await startGrpcPeer(suite), speaks: "h2" } });
    for (const way of WAYS) {
      const caller = new GrpcCaller(way === "one sidecar" ? chain.backPort("grpc") : chain.frontPort("grpc"));
      suite.after(() => caller.close());
      callers.set(way, caller);
    }
  });

  for (const way of WAYS)
    for (const [name, run] of Object.entries(GRPC_CASES)) test(`through ${way}: ${name}`, () => run(callers.get(way)!));
});
