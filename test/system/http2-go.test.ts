import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { callForeign, type ForeignPeer, serveForeign } from "../harness/foreign-peer.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";

/** Its standard library speaks HTTP/2 without TLS since 1.24. */
const version = /go1\.(\d+)/.exec(spawnSync("go", ["version"], { encoding: "utf8" }).stdout ?? "")?.[1];
const skip = !(Number(version) >= 24) && "not installed: Go of at least 1.24";

describe("Go's HTTP/2 as client and as server", { skip }, () => {
  const suite = lastFirst({ after });
  let peer: ForeignPeer;
  let chain: SidecarChain;

  before(async () => {
    const program = join(scratchFolder(suite), "http2_peer");
    const built = spawnSync("go", ["build", "-o", program, join(import.meta.dirname, "peers/http2_peer.go")], {
      encoding: "utf8",
    });
    assert.equal(built.status, 0, built.stderr);
    peer = [program];
    const lanes = { go: { port: await serveForeign(peer, suite), speaks: "h2" } } as const;
    chain = await startChain(suite, lanes, { concurrency: 2 });
  });

  test("through one sidecar", async (t) => void (await callForeign(peer, chain.backPort("go"), t)));
  test("through two sidecars", async (t) => void (await callForeign(peer, chain.frontPort("go"), t)));
});
