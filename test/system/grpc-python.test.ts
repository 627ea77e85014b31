import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { callForeign, type ForeignPeer, serveForeign } from "../harness/foreign-peer.ts";
import { lastFirst } from "../harness/owner.ts";
import { startChain } from "../harness/sidecar-chain.ts";
import { GRPC_CASES, GrpcCaller } from "../interop/grpc-cases.ts";
import { startGrpcPeer } from "../interop/grpc-peer.ts";

/** Debian's, since python3-grpcio is Debian's. */
const PYTHON = "/usr/bin/python3";
const PEER: ForeignPeer = [PYTHON, join(import.meta.dirname, "peers/grpc_peer.py")];
const found = existsSync(PYTHON) && spawnSync(PYTHON, ["-c", "import grpc"]).status === 0;
const skip = !found && "not installed: python3-grpcio";

describe("gRPC's Python, which is gRPC's C core, as client and as server", { skip }, () => {
  const suite = lastFirst({ after });
  const ports = new Map<string, number>();

  before(async () => {
    const lanes = {
      python: { port: await serveForeign(PEER, suite), speaks: "h2" },
      js: { port: await startGrpcPeer(suite), speaks: "h2" },
    } as const;
    const chain = await startChain(suite, lanes, { concurrency: 2 });
    for (const lane of ["python", "js"] as const) {
      ports.set(`${lane} through one sidecar`, chain.backPort(lane));
      ports.set(`${lane} through two sidecars`, chain.frontPort(lane));
    }
  });

  for (const way of ["through one sidecar", "through two sidecars"]) {
    for (const server of ["python", "js"]) {
      test(`python's client calls ${server}'s server ${way}`, async (t) => {
        const cases = await callForeign(PEER, ports.get(`${server} ${way}`)!, t);
        assert.deepEqual(cases, Object.keys(GRPC_CASES));
      });
    }

    test(`grpc-js's client calls python's server ${way}`, async (t) => {
      const caller = new GrpcCaller(ports.get(`python ${way}`)!);
      t.after(() => caller.close());
      for (const [name, check] of Object.entries(GRPC_CASES)) await t.test(name, () => check(caller));
    });
  }
});
