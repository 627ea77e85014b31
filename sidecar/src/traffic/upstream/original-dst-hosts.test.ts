import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { beforeEach, describe, test } from "node:test";
import { ManualClock, TimerWheel } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import type { Endpoint, OriginalDstDiscovery, Pick } from "@heddle/traffic";
import { type Asker, OriginalDstHosts } from "./original-dst-hosts.ts";

const GET = new RequestHead("GET", "http", "10.9.9.9:99", "/", new HeaderMap());

/** As an exchange is one. */
function asker(downstream: DownstreamInfo, metadata?: Asker["metadata"]): Asker {
  return { downstream, ...(metadata && { hasMetadata: true, metadata }) };
}

let clock: ManualClock;
let invalid: number;
let forgotten: Endpoint[];

beforeEach(() => {
  clock = new ManualClock();
  invalid = 0;
  forgotten = [];
});

function hosts(more: Partial<OriginalDstDiscovery> = {}): OriginalDstHosts {
  const discovery: OriginalDstDiscovery = { type: "ORIGINAL_DST", cleanupIntervalMs: 5000, ...more };
  return new OriginalDstHosts(
    discovery,
    "c",
    { wheel: new TimerWheel(clock, 1) },
    {
      onInvalid: () => invalid++,
      onForgotten: (endpoint) => forgotten.push(endpoint),
    },
  );
}

/** A client that was redirected to port 15001. */
function meant(localAddress: string, localPort: number, more: Partial<DownstreamInfo> = {}): DownstreamInfo {
  return {
    directRemoteAddress: "10.0.0.9",
    remoteAddress: "10.0.0.9",
    remotePort: 40000,
    localAddress,
    localPort,
    connectionId: 1,
    listener: "l",
    filterChain: "",
    restored: { listenPort: 15001 },
    direct: { remotePort: 40000, localAddress: "127.0.0.1", localPort: 15001 },
    ...more,
  };
}

function withHeader(name: string, value: string): RequestHead {
  const headers = new HeaderMap();
  headers.append(name, value);
  return new RequestHead("GET", "http", "a", "/", headers);
}

function keyOf(pick: Pick): string {
  return pick.type === "endpoint" ? pick.endpoint.key : pick.type === "fail" ? pick.failure.detail : pick.type;
}

describe("endpoints of original destinations", () => {
  test("are where clients were meant to go, each once", () => {
    const cluster = hosts();
    const first = cluster.pick(GET, asker(meant("10.0.0.1", 80)));
    assert.equal(keyOf(first), "10.0.0.1:80");
    assert.equal(cluster.pick(GET, asker(meant("10.0.0.1", 80))), first);
    assert.equal(keyOf(cluster.pick(GET, asker(meant("fd00::1", 80)))), "[fd00::1]:80");
    assert.deepEqual(
      cluster.endpoints.map(({ key }) => key),
      ["10.0.0.1:80", "[fd00::1]:80"],
    );
    assert.ok(cluster.endpoints.every((endpoint) => cluster.has(endpoint)));
    cluster.close();
    clock.advance(60_000);
    assert.deepEqual([forgotten.length, clock.pending], [0, 0]);
  });

  test("are not to be had without a redirection, and then it says so", () => {
    const { restored: _, ...direct } = meant("10.0.0.1", 80);
    for (const downstream of [direct, undefined])
      assert.equal(
        keyOf(hosts().pick(GET, downstream && asker(downstream))),
        'cluster "c": no original destination is known',
      );
    assert.equal(clock.pending, 0);
  });

  test("may be named by a header, and a header that names none is counted", () => {
    const cluster = hosts({ httpHeaderName: "x-where" });
    const pick = (value: string): string => keyOf(cluster.pick(withHeader("x-where", value), undefined));
    assert.equal(pick("10.0.0.2:81"), "10.0.0.2:81");
    assert.equal(pick("[2001:DB8::1]:82"), "[2001:db8::1]:82");
    const wrong = ["", "10.0.0.2", "10.0.0.2:0", "10.0.0.2:65536", "example.com:80", "2001:db8::1:80", "[10.0.0.2]:80"];
    for (const value of [...wrong, "10.0.0.2:80 ", "10.0.0.256:1", "[::1%lo]:80", "10.0.0.2:80, 10.0.0.3:80"])
      assert.match(pick(value), /no original destination is known/, value);
    assert.equal(invalid, 10); // an empty one is none
    assert.equal(keyOf(cluster.pick(GET, asker(meant("10.0.0.1", 80)))), "10.0.0.1:80");
    cluster.close();
    const byAuthority = hosts({ httpHeaderName: ":authority" });
    assert.equal(keyOf(byAuthority.pick(GET, undefined)), "10.9.9.9:99");
    byAuthority.close();
  });

  test("metadata comes before the header, that of the request before that of the connection", () => {
    const cluster = hosts({ httpHeaderName: "x-where", metadataKey: { namespace: "ns", path: ["to", "host"] } });
    const told = (value: unknown): NonNullable<Asker["metadata"]> => new Map([["ns", new Map([["to", value]])]]);
    const request = withHeader("x-where", "10.0.0.2:81");
    const { restored: _, ...unknown } = meant("10.0.0.1", 80);
    const connection = meant("10.0.0.1", 80, { metadata: told({ host: "10.0.0.3:1" }) });
    assert.equal(keyOf(cluster.pick(request, asker(connection, told({ host: "10.0.0.4:1" })))), "10.0.0.4:1");
    assert.equal(keyOf(cluster.pick(request, asker(connection))), "10.0.0.3:1");
    assert.equal(keyOf(cluster.pick(request, asker(meant("10.0.0.1", 80), told({})))), "10.0.0.2:81");
    // As in Envoy what cannot be read is counted, and the next one counts.
    assert.equal(keyOf(cluster.pick(request, asker(unknown, told({ host: 7 })))), "10.0.0.2:81");
    assert.equal(keyOf(cluster.pick(GET, asker(meant("10.0.0.1", 80), told({ host: "a:1" })))), "10.0.0.1:80");
    assert.equal(invalid, 2);
    cluster.close();
  });

  test("have the port that overrides", () => {
    const cluster = hosts({ upstreamPortOverride: 8443, httpHeaderName: "x-where" });
    assert.equal(keyOf(cluster.pick(GET, asker(meant("10.0.0.1", 80)))), "10.0.0.1:8443");
    assert.equal(keyOf(cluster.pick(withHeader("x-where", "10.0.0.2:81"), undefined)), "10.0.0.2:8443");
    cluster.close();
  });

  test("are never the socket that has taken the connection, by whatever name", () => {
    const cluster = hosts({ httpHeaderName: "x-where" });
    const own = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", ...own])
      assert.match(keyOf(cluster.pick(GET, asker(meant(address, 15001)))), /is where the connection was taken/);
    const direct = meant("127.0.0.1", 15001);
    assert.match(keyOf(cluster.pick(withHeader("x-where", "127.0.0.1:15001"), asker(direct))), /taken/);
    // The same port of another machine, and another port here, are as good as any.
    assert.equal(keyOf(cluster.pick(GET, asker(meant("192.0.2.55", 15001)))), "192.0.2.55:15001");
    assert.equal(keyOf(cluster.pick(GET, asker(meant("127.0.0.1", 80)))), "127.0.0.1:80");
    assert.ok(invalid >= 6);
    cluster.close();
  });

  test("are forgotten when nobody was sent there for an interval, and never while something runs", () => {
    const cluster = hosts({ cleanupIntervalMs: 1000 });
    const pick = cluster.pick(GET, asker(meant("10.0.0.1", 80)));
    assert.ok(pick.type === "endpoint");
    pick.endpoint.activeRequests = 1;
    cluster.pick(GET, asker(meant("10.0.0.2", 80)));
    clock.advance(1001);
    assert.deepEqual(forgotten, []); // both were used
    cluster.pick(GET, asker(meant("10.0.0.2", 80)));
    clock.advance(1001);
    assert.deepEqual(forgotten, []);
    clock.advance(1001);
    assert.deepEqual(
      forgotten.map(({ key }) => key),
      ["10.0.0.2:80"],
    );
    pick.endpoint.activeRequests = 0;
    clock.advance(1001);
    assert.deepEqual(cluster.endpoints, []);
    assert.equal(clock.pending, 0); // and begins again with the next
    cluster.pick(GET, asker(meant("10.0.0.2", 80)));
    clock.advance(3000);
    assert.equal(forgotten.length, 3);
    assert.equal(clock.pending, 0);
  });

  test("are no more than memory is for: what is quiet makes room, and what runs is kept", () => {
    const cluster = hosts();
    const pick = (n: number): Pick => cluster.pick(GET, asker(meant(`10.1.${n >> 8}.${n & 255}`, 80)));
    for (let n = 0; n < 10_000; n++) {
      const one = pick(n);
      if (one.type === "endpoint" && n < 9_999) one.endpoint.activeRequests = 1;
    }
    assert.equal(keyOf(pick(20_000)), "10.1.78.32:80");
    assert.deepEqual(
      forgotten.map(({ key }) => key),
      ["10.1.39.15:80"],
    );
    const last = cluster.endpoints.at(-1);
    assert.ok(last);
    last.activeRequests = 1;
    assert.match(keyOf(pick(20_001)), /10000 endpoints in use/);
    cluster.close();
  });
});
