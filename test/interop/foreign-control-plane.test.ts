import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { adsBootstrap, edsCluster, rds, type World } from "../harness/control-plane.ts";
import { listener, loadAssignment, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import {
  FOREIGN_KINDS,
  ForeignControlPlane,
  type ForeignKind,
  foreignResource,
  foreignTypeUrl,
} from "../harness/foreign-control-plane.ts";
import { type RunningLoad, startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarProcess, spawnSidecar } from "../harness/sidecar.ts";
import { answersAre, swappedWorld } from "../harness/swapped-world.ts";
import { BAD_RESOURCES } from "./bad-resources.ts";

/*
 * A sidecar under a control plane of others that errs in every way, with clients that ask without a pause: after each fault the
 * next good configuration applies, and no request of all that time has failed.
 */
for (const variant of ["sotw", "delta"] as const) {
  describe(`a sidecar under a foreign control plane (${variant})`, () => {
    const suite = lastFirst({ after });
    let controlPlane: ForeignControlPlane;
    let sidecar: SidecarProcess;
    let load: RunningLoad;
    let ports: { readonly a: number; readonly b: number };
    let at: "a" | "b" = "a";

    before(async () => {
      const [a, b] = [await RawUpstream.listen(suite), await RawUpstream.listen(suite)];
      a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
      b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
      ports = { a: a.port, b: b.port };
      controlPlane = await ForeignControlPlane.start(suite, { variant, world: good() });
      sidecar = spawnSidecar(adsBootstrap(controlPlane.port, variant), suite);
      await sidecar.untilReady();
      load = startLoad(await url(), 2, suite);
      suite.after(async () => {
        const { failures } = await load.stop();
        assert.deepEqual([...failures], [], "no request has failed");
      });
    });

    test("it is led from LDS to EDS, and has acknowledged each response once", async () => {
      await answersAre(load, "a");
      for (const kind of FOREIGN_KINDS) {
        const verdicts = controlPlane.requests(kind).filter(({ nonce }) => nonce !== "");
        const nonces = verdicts.map(({ nonce }) => nonce);
        assert.ok(nonces.length > 0, kind);
        if (variant === "delta") assert.equal(new Set(nonces).size, nonces.length, kind);
        assert.ok(
          verdicts.every(({ error }) => error === undefined),
          kind,
        );
      }
      assert.equal(controlPlane.streams[0]?.requests.filter(({ nodeId }) => nodeId !== undefined).length, 1);
      await follows();
    });

    test("the same nonce again and again, and an empty one, are given back as they came", async () => {
      for (const nonce of ["same", "same", "", "same"]) {
        const resources = resourcesOf("endpoints", other());
        controlPlane.stream.send({ typeUrl: foreignTypeUrl("endpoints"), resources, nonce });
      }
      move();
      await answersAre(load, at);
      await eventually("the nonce is given back", () => controlPlane.requests("endpoints").at(-1)?.nonce === "same");
      await follows();
    });

    test("endpoints before their cluster, routes before their listener, routes to clusters that are not there yet", async () => {
      const [endpoints, clusters] = [[loadAssignment("late", [ports[at]])], [edsCluster("late")]];
      const routes = [{ name: "more", virtual_hosts: [virtualHost("*", "late")] }];
      const listeners = [listener({ name: "second", routes: rds("more") })];
      const send = (kind: keyof typeof LISTS, jsons: readonly object[]): void => {
        const resources = jsons.map((json) => foreignResource(kind, json as never));
        controlPlane.stream.send({
          typeUrl: foreignTypeUrl(kind),
          resources: [...resourcesOf(kind, good()), ...resources],
        });
      };
      send("routes", routes);
      send("endpoints", endpoints);
      send("listener", listeners);
      await eventually("the routes are asked for", () => wants("routes", "more"));
      send("routes", routes);
      await eventually("the listener listens", () => sidecar.listens("second"));
      const second = `http://127.0.0.1:${await sidecar.port("second")}/`;
      assert.equal((await fetch(second)).status, 503);
      send("cluster", clusters);
      await eventually("the endpoints are asked for", () => wants("endpoints", "late"));
      send("endpoints", endpoints);
      await eventually("it answers", async () => (await fetch(second)).status === 200);
      await follows();
    });

    test("statement 34: the same name twice in a response is rejected, for each type", async () => {
      for (const kind of FOREIGN_KINDS) {
        const [one] = resourcesOf(kind, good());
        assert.ok(one);
        controlPlane.stream.send({ typeUrl: foreignTypeUrl(kind), resources: [one, one] });
        await eventually(`${kind} twice is rejected`, () => controlPlane.rejection(kind) !== undefined);
        assert.match(controlPlane.rejection(kind) ?? "", /twice/);
      }
      await follows();
    });

    for (const { kind, of, reasons } of BAD_RESOURCES) {
      test(`a bad update (${kind}) is rejected with all its reasons, the good one before it serves, the next heals it`, async () => {
        const [before] = resourcesOf(kind, good());
        assert.ok(before);
        const bad = foreignResource(kind, of(LISTS[kind] === "listeners" ? "in" : before.name));
        controlPlane.stream.send({ typeUrl: foreignTypeUrl(kind), resources: [bad] });
        await eventually("it is rejected", () => controlPlane.rejection(kind) !== undefined);
        const message = controlPlane.rejection(kind) ?? "";
        for (const reason of reasons) assert.match(message, reason);
        assert.match(await sidecar.page("/inspect"), /"NACKED"/);
        const { count } = load;
        await eventually("requests are answered", () => load.count > count + 50);
        await answersAre(load, at);
        await follows();
        assert.equal(controlPlane.rejection(kind), undefined);
        assert.doesNotMatch(await sidecar.page("/inspect"), /"NACKED"/);
      });
    }

    test("what is no discovery response ends the stream; the next one begins where this one was", async () => {
      for (const garbage of [Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(1000, 0x07)]) {
        await reconnects(() => controlPlane.stream.sendBytes(garbage));
        await follows();
      }
      // No bytes at all are a response, of a type that nobody asked for.
      controlPlane.stream.sendBytes(Buffer.alloc(0));
      await follows();
    });

    test("a stream that ends, with whatever status, is opened again, and says what is held", async () => {
      for (const code of [status.OK, status.UNAVAILABLE, status.INTERNAL]) {
        await reconnects(() => controlPlane.stream.end(code, "because"));
        await eventually("clusters are asked for", () => wants("cluster", "*"));
        const first = controlPlane.stream.requests.find(({ typeUrl }) => typeUrl === foreignTypeUrl("cluster"));
        assert.equal(first?.nonce, "");
        if (variant === "sotw") assert.match(first?.version ?? "", /^v\d+$/);
        else assert.ok(Object.keys(first?.held ?? {}).includes("first"));
        await follows();
      }
    });

    test("a control plane that starts again without its data does not end the traffic, and is followed when it has some", async () => {
      const { length } = controlPlane.streams;
      controlPlane.forget();
      await reconnects(() => controlPlane.stream.end(status.UNAVAILABLE, "restarts"));
      await eventually("it has been heard", async () => (await sidecar.stat("control_plane.returned_empty")) === 1);
      await eventually("its word is acknowledged", () => controlPlane.settled);
      assert.equal(controlPlane.streams.length, length + 1);
      const { count } = load;
      await eventually("requests are answered", () => load.count > count + 100);
      assert.match(await sidecar.page("/clusters"), /^first::/m);
      await follows();
      // Whoever is there and takes everything away, but for what serves this test, is obeyed.
      controlPlane.set({
        ...good(),
        listeners: [...(good().listeners ?? []), listener({ name: "more", routes: rds("all") })],
      });
      await eventually("it listens", () => sidecar.listens("more"));
      controlPlane.set(good());
      await eventually("it is gone", async () => !(await sidecar.listens("more")));
    });

    test("a stream that ends between a cluster and its endpoints leaves the cluster of before in force", async () => {
      const updated = [foreignResource("cluster", edsCluster("first", { connect_timeout: "3s" }))];
      controlPlane.intercept = ({ typeUrl }) => typeUrl === foreignTypeUrl("endpoints");
      await reconnects(() => {
        controlPlane.stream.send({ typeUrl: foreignTypeUrl("cluster"), resources: updated });
        setImmediate(() => controlPlane.stream.end(status.UNAVAILABLE, "now"));
      });
      await answersAre(load, at);
      controlPlane.intercept = undefined;
      await follows();
    });

    test("a response of a type that was never asked for is passed over", async () => {
      for (const typeUrl of ["type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", "", "nonsense"])
        controlPlane.stream.send({ typeUrl });
      await follows();
      assert.ok(
        controlPlane.stream.requests.every(({ typeUrl }) => FOREIGN_KINDS.some((k) => foreignTypeUrl(k) === typeUrl)),
      );
    });

    test("names of a megabyte, names that are no UTF-8, messages nested a thousand times are rejected, and not more", async () => {
      const hostile = [
        Buffer.concat([Buffer.from([0x0a, 3]), Buffer.from([0xff, 0xfe, 0xfd])]),
        Buffer.concat([Buffer.from([0x0a, 1, 0x78]), nested(1000)]),
        Buffer.concat([Buffer.from([0x0a, 1, 0x78]), nested(20_000)]),
      ];
      for (const bytes of hostile) {
        const typeUrl = foreignTypeUrl("cluster");
        const rejected = controlPlane.requests("cluster").filter(({ error }) => error !== undefined).length;
        const resources = [...resourcesOf("cluster", good()), { name: "x", typeUrl, bytes }];
        controlPlane.stream.send({ typeUrl, resources });
        await eventually("it is rejected", () => {
          return controlPlane.requests("cluster").filter(({ error }) => error !== undefined).length > rejected;
        });
      }
      const long = edsCluster("n".repeat(1024 * 1024));
      controlPlane.set({ ...good(), clusters: [...(good().clusters ?? []), long] });
      await answersAre(load, at);
      await follows();
    });

    test("a control plane that sends what was rejected again and again is slowed down, and said once in the log", async () => {
      const typeUrl = foreignTypeUrl("cluster");
      const bad = resourcesOf("cluster", { clusters: [edsCluster("first", { lb_policy: "CLUSTER_PROVIDED" })] });
      const before = rejections();
      const logged = sidecar.log.length;
      const beganMs = performance.now();
      controlPlane.intercept = (request, stream) => {
        if (request.typeUrl !== typeUrl || request.error === undefined) return false;
        stream.send({ typeUrl, resources: bad });
        return true;
      };
      controlPlane.stream.send({ typeUrl, resources: bad });
      await eventually("it is slowed down", async () => (await sidecar.stat("control_plane.rate_limit_enforced")) > 3);
      // At most 100 at once and 10 a second, of which other tests have used some; nothing else bounds the loop.
      const most = 100 + 10 * ((performance.now() - beganMs) / 1000) + 1;
      assert.ok(rejections() - before <= most, `${rejections() - before} rejections, not more than ${most}`);
      assert.equal(
        sidecar.log
          .slice(logged)
          .split("\n")
          .filter((line) => /rejected.*CLUSTER_PROVIDED/.test(line)).length,
        1,
      );
      controlPlane.intercept = undefined;
      await follows();

      function rejections(): number {
        return controlPlane.requests("cluster").filter(({ error }) => error !== undefined).length;
      }
    });

    test("a thousand updates in a row end at the last", async () => {
      const typeUrl = foreignTypeUrl("endpoints");
      const [x, y] = [resourcesOf("endpoints", good()), resourcesOf("endpoints", other())];
      for (let i = 0; i < 500; i++) {
        controlPlane.stream.send({ typeUrl, resources: x });
        controlPlane.stream.send({ typeUrl, resources: y });
      }
      move();
      await eventually("the last nonce is given back", () => {
        return controlPlane.requests("endpoints").at(-1)?.nonce === controlPlane.stream.nonces.get(typeUrl);
      });
      await answersAre(load, at);
      await follows();
    });

    function good(): World {
      return swappedWorld({ to: "first", endpoints: { first: [{ port: ports[at] }] } });
    }

    function other(): World {
      return swappedWorld({ to: "first", endpoints: { first: [{ port: ports[at === "a" ? "b" : "a"] }] } });
    }

    function move(): void {
      at = at === "a" ? "b" : "a";
    }

    /** The next good configuration applies. */
    async function follows(): Promise<void> {
      move();
      controlPlane.set(good());
      await answersAre(load, at);
    }

    async function url(): Promise<string> {
      return `http://127.0.0.1:${await sidecar.port("in")}/`;
    }

    async function reconnects(fault: () => void): Promise<void> {
      const { length } = controlPlane.streams;
      fault();
      await eventually("there is another stream", () => controlPlane.streams.length > length);
      await eventually("it has been spoken on", () => (controlPlane.streams.at(-1)?.requests.length ?? 0) > 3);
    }

    function wants(kind: ForeignKind, name: string): boolean {
      return controlPlane.stream.wanted.get(foreignTypeUrl(kind))?.has(name) === true;
    }
  });
}

const LISTS = { cluster: "clusters", endpoints: "endpoints", listener: "listeners", routes: "routes" } as const;

function resourcesOf(kind: keyof typeof LISTS, world: World) {
  return (world[LISTS[kind]] ?? []).map((json) => foreignResource(kind, json));
}

/** `Cluster.metadata.filter_metadata` with a list in a list in a list. */
function nested(depth: number): Buffer {
  const heads: Buffer[] = [Buffer.from([0x08, 0])]; // null_value
  let length = 2;
  for (let i = 0; i < depth; i++) {
    for (const field of [1, 6]) {
      // ListValue.values, Value.list_value
      const head = Buffer.concat([varint(field * 8 + 2), varint(length)]);
      heads.push(head);
      length += head.length;
    }
  }
  const value = Buffer.concat(heads.reverse());
  const struct = block(1, Buffer.concat([block(1, Buffer.from("k")), block(2, value)])); // Struct.fields
  const entry = Buffer.concat([block(1, Buffer.from("f")), block(2, struct)]); // filter_metadata
  return block(25, block(1, entry)); // Cluster.metadata
}

function block(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
