import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { adsBootstrap, edsCluster, type World } from "../harness/control-plane.ts";
import { type Json, loadAssignment, socketAddress } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { ForeignControlPlane, type ForeignKind, foreignTypeUrl } from "../harness/foreign-control-plane.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";
import { answersAre, swappedWorld } from "../harness/swapped-world.ts";

const MIB = 1024 * 1024;

interface Large {
  readonly what: string;
  readonly clusters: readonly Json[];
  readonly endpoints: readonly Json[];
  /** Of memory, above that of a sidecar with one cluster. */
  readonly withinMib: number;
}

const CASES: readonly Large[] = [
  {
    what: "10,000 clusters, and their endpoints",
    clusters: Array.from({ length: 10_000 }, (_, i) => edsCluster(`c${i}`)),
    endpoints: Array.from({ length: 10_000 }, (_, i) => loadAssignment(`c${i}`, [1000 + i])),
    withinMib: 600,
  },
  {
    what: "a cluster of 100,000 endpoints",
    clusters: [edsCluster("wide")],
    endpoints: [
      {
        cluster_name: "wide",
        endpoints: [
          {
            lb_endpoints: Array.from({ length: 100_000 }, (_, i) => ({
              endpoint: {
                address: {
                  socket_address: { address: `10.0.${(i >> 8) & 255}.${i & 255}`, port_value: 1 + (i >> 16) },
                },
              },
            })),
          },
        ],
      },
    ],
    withinMib: 450,
  },
  {
    what: "a response of 30 MiB",
    clusters: Array.from({ length: 1000 }, (_, i) => ({
      ...edsCluster(`fat${i}`),
      type: "STATIC",
      eds_cluster_config: undefined,
      load_assignment: {
        cluster_name: `fat${i}`,
        endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(1) } }] }],
      },
      metadata: { filter_metadata: { large: { fields: { text: { stringValue: "x".repeat(31_500) } } } } },
    })),
    endpoints: [],
    withinMib: 450,
  },
];

for (const variant of ["sotw", "delta"] as const) {
  describe(`what a foreign control plane may send at once (${variant})`, () => {
    for (const { what, clusters, endpoints, withinMib } of CASES) {
      test(`statement 73: ${what}: taken while traffic goes on, in bounded time and memory`, async (t) => {
        const owner = lastFirst(t);
        const [a, b] = [await RawUpstream.listen(owner), await RawUpstream.listen(owner)];
        a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
        b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
        const world = (upstream: RawUpstream): World => swappedWorld({ to: "first", endpoints: { first: [upstream] } });
        const controlPlane = await ForeignControlPlane.start(owner, { variant, world: world(a) });
        const sidecar = await startSidecar(adsBootstrap(controlPlane.port, variant), owner);
        const load = startLoad(`http://127.0.0.1:${await sidecar.port("in")}/`, 2, owner);
        owner.after(() => load.stop()); // or a failed test would never end
        await answersAre(load, "a");
        const idleBytes = sidecar.residentBytes();
        let mostBytes = 0;
        const watching = setInterval(() => (mostBytes = Math.max(mostBytes, sidecar.residentBytes())), 100);
        owner.after(() => clearInterval(watching));

        const began = performance.now();
        const { clusters: few = [], endpoints: fewEndpoints = [], ...rest } = world(b);
        controlPlane.set({ ...rest, clusters: [...clusters, ...few], endpoints: [...endpoints, ...fewEndpoints] });
        const isEds = endpoints.length > 0;
        await eventually(
          "all is asked for, and acknowledged",
          () => controlPlane.settled && (!isEds || wanted("endpoints") === clusters.length + 1),
          60_000,
        );
        await answersAre(load, "b", 60_000);
        const tookMs = performance.now() - began;
        for (const kind of ["cluster", "endpoints"] as const) assert.equal(controlPlane.rejection(kind), undefined);

        controlPlane.set(world(a));
        await eventually("all is let go", () => controlPlane.settled && wanted("endpoints") === 1, 60_000);
        await answersAre(load, "a", 60_000);
        const usedMib = Math.round((mostBytes - idleBytes) / MIB);
        t.diagnostic(`${what}: ${Math.round(tookMs)} ms, at most ${usedMib} MiB more`);
        assert.ok(usedMib < withinMib, `${usedMib} MiB`);
        assert.deepEqual([...(await load.stop()).failures], []);

        function wanted(kind: ForeignKind): number {
          return controlPlane.stream.wanted.get(foreignTypeUrl(kind))?.size ?? 0;
        }
      });
    }
  });
}
