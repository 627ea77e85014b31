import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { type Server, status } from "@grpc/grpc-js";
import { err, ManualClock, ok } from "@heddle/base";
import { encodeDiscoveryRequest } from "@heddle/proto";
import { encodeLoadStatsRequest, LOAD_REPORT_PATH } from "./load/load-report.ts";
import { CLUSTER_TYPE_URL } from "./protocol/type-urls.ts";
import type { DiscoveryRequest } from "./protocol/wire.ts";
import { encodeSidecarReport, REPORT_PATH } from "./report.ts";
import {
  LoadReportServer,
  type NodeClaim,
  nodeKey,
  type PeerOf,
  ReportServer,
  type TransportPeer,
  XdsServer,
} from "./server.ts";
import type { SnapshotSource, XdsNode } from "./snapshot.ts";
import { quietLog, quietMetrics, SettableSource, testNode, textSnapshot } from "./testing.ts";

/* Who a stream's client is: what its transport has shown, and nothing that it says (X1 to X7). */

const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const SDS = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
const DELTA_SDS = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";
const HEALTH = {
  ready: true,
  workers: 1,
  downstreamConnections: 0,
  upstreamConnections: 0,
  requests: 0,
  requests5xx: 0,
  workerRestarts: 0,
  residentBytes: 0,
};
const WEB = { trustDomain: "cluster.local", path: "/ns/shop/sa/web" };

test("X1: a node is who its transport has shown, whatever it says of itself", () => {
  const s = server(() => ok({ identity: WEB, notAfterMs: Number.MAX_SAFE_INTEGER }));
  const forged = { ...testNode("default/admin/1"), identity: { trustDomain: "cluster.local", path: "/ns/x/sa/admin" } };
  s.open(ADS).send(sotw(forged));
  assert.deepEqual(s.watched.at(-1)?.identity, WEB);
});

test("X1: on a transport that shows nobody a node has no identity, whatever it says of itself", () => {
  const s = server();
  const forged = { ...testNode(), identity: WEB, metadata: { identity: WEB } };
  s.open(ADS).send(sotw(forged));
  assert.equal(s.watched.at(-1)?.identity, undefined);
});

test("X1: where every client has to show who it is, one who has not gets nothing", () => {
  const s = server(() => err("the connection has no certificate"));
  const call = s.open(ADS);
  assert.deepEqual(call.ended, { code: status.UNAUTHENTICATED, details: "the connection has no certificate" });
  call.send(sotw(testNode()));
  assert.deepEqual([call.written, s.watched], [0, []]);
});

test("X2: a node that is somebody else than it says gets nothing", () => {
  const s = server(() => ok(peer()));
  s.denied = "the node is of another namespace";
  const call = s.open(ADS);
  call.send(sotw(testNode()));
  assert.equal(call.ended?.code, status.PERMISSION_DENIED);
  assert.deepEqual([call.written, s.source.watchers], [0, 0]);
});

test("X2: a node that turns out to be somebody else than it says loses its stream", () => {
  const s = server(() => ok(peer()));
  const call = s.open(ADS);
  call.send(sotw(testNode()));
  assert.deepEqual([call.written, call.ended], [1, undefined]);
  s.denied = "the workload has another account";
  s.source.set(textSnapshot({ cluster: { a: "2" } }));
  assert.deepEqual([call.written, call.ended?.code], [1, status.PERMISSION_DENIED]);
});

test("X3: a stream of secrets is refused to a client that has not shown who it is", () => {
  const s = server(undefined, true);
  for (const path of [SDS, DELTA_SDS]) assert.equal(s.open(path).ended?.code, status.PERMISSION_DENIED);
  assert.equal(s.open(ADS).ended, undefined);
  const known = server(() => ok(peer()), true);
  for (const path of [SDS, DELTA_SDS]) assert.equal(known.open(path).ended, undefined);
});

test("a stream ends when the certificate of its connection does, so that the client comes back with another", () => {
  const s = server(() => ok({ identity: WEB, notAfterMs: s.clock.wallNow() + 60_000 }));
  const call = s.open(ADS);
  call.send(sotw(testNode()));
  s.clock.advance(60_000);
  assert.deepEqual(call.codes, [], "it is good until its last moment");
  s.clock.advance(1);
  assert.deepEqual(call.codes, [status.UNAVAILABLE]);
  assert.equal(s.clock.pending, 0);
});

test("X6: two that say one node id and have shown to be different ones are two nodes", () => {
  const identities = [WEB, { trustDomain: "cluster.local", path: "/ns/shop/sa/other" }];
  const s = server(() => ok({ identity: identities.shift()!, notAfterMs: Number.MAX_SAFE_INTEGER }));
  for (let streams = 0; streams < 2; streams++) s.open(ADS).send(sotw(testNode()));
  assert.deepEqual(
    s.xds.nodes().map(({ node, streams }) => [node.id, node.identity?.path, streams]),
    [
      ["default/web/1", "/ns/shop/sa/web", 1],
      ["default/web/1", "/ns/shop/sa/other", 1],
    ],
  );
  assert.equal(s.xds.clients().length, 2);
});

test("who is refused over and over does not fill the log", () => {
  const s = server(() => err("the connection has no certificate"));
  for (let streams = 0; streams < 1000; streams++) s.open(ADS);
  assert.equal(s.warnings.length, 50);
  s.clock.advance(1000);
  s.open(ADS);
  assert.equal(s.warnings.length, 51);
});

test("X6: who has shown nothing is no node that has, whatever it calls itself", () => {
  const forged = `${WEB.trustDomain}${WEB.path} shop/web/1`;
  assert.notEqual(nodeKey({ id: forged }), nodeKey({ id: "shop/web/1", identity: WEB }));
});

test("X6: a report of one who has shown nothing takes the place of none of one who has", () => {
  const reports = new ReportServer({ clock: new ManualClock(), log: quietLog });
  const open = (peerOf?: PeerOf) => opener((grpc) => reports.addTo(grpc, peerOf))(REPORT_PATH);
  const known = open(() => ok(peer()));
  known.send(sidecarReport("shop/web/1", "mine"));
  const stranger = open();
  stranger.send(sidecarReport("shop/web/1", "forged"));
  const versionOf = (identity?: TransportPeer["identity"]) =>
    reports.stateOf({ id: "shop/web/1", identity })?.report.version;
  assert.deepEqual([versionOf(WEB), versionOf()], ["mine", "forged"]);
  stranger.emit("cancelled");
  assert.deepEqual([versionOf(WEB), versionOf()], ["mine", undefined]);
});

test("X2: a sidecar reports for itself alone, and only where it has shown who it is", () => {
  const denialOf = ({ id, identity }: NodeClaim): string | undefined =>
    id === "shop/web/1" && identity === WEB ? undefined : "it is somebody else";
  for (const [peerOf, nodeId, code] of [
    [() => ok(peer()), "shop/web/1", undefined],
    [() => ok(peer()), "shop/orders/1", status.PERMISSION_DENIED],
    [() => err("the connection has no certificate"), "shop/web/1", status.UNAUTHENTICATED],
  ] as const) {
    const clock = new ManualClock();
    const reports = new ReportServer({ clock, log: quietLog, denialOf });
    const loads = new LoadReportServer({ clock, log: quietLog, denialOf });
    const open = opener((grpc) => {
      reports.addTo(grpc, peerOf);
      loads.addTo(grpc, peerOf);
    });
    const [report, load] = [open(REPORT_PATH), open(LOAD_REPORT_PATH)];
    report.send(sidecarReport(nodeId));
    load.send(encodeLoadStatsRequest({ node: testNode(nodeId), clusters: [] }));
    assert.deepEqual([report.ended?.code, load.ended?.code], [code, code]);
    assert.deepEqual([reports.states().length, loads.loads().length], code === undefined ? [1, 1] : [0, 0]);
  }
});

function sidecarReport(nodeId: string, version = ""): Uint8Array {
  return encodeSidecarReport({
    nodeId,
    nodeCluster: "",
    timeMs: 0,
    version,
    uptimeMs: 0,
    resources: [],
    health: HEALTH,
  });
}

function peer(): TransportPeer {
  return { identity: WEB, notAfterMs: Number.MAX_SAFE_INTEGER };
}

function server(peerOf?: PeerOf, secretsNeedIdentity = false) {
  const clock = new ManualClock();
  const source = new SettableSource(textSnapshot({ cluster: { a: "1" } }));
  const watched: XdsNode[] = [];
  const warnings: string[] = [];
  const scripted = { clock, source, watched, warnings, denied: undefined as string | undefined };
  const asked: SnapshotSource = {
    watch(node, onChange) {
      watched.push(node);
      const watch = source.watch(node, onChange);
      return {
        get current() {
          return watch.current;
        },
        get denied() {
          return scripted.denied;
        },
        request: () => undefined,
        close: () => watch.close(),
      };
    },
  };
  const log = { ...quietLog, warn: (message: string) => void warnings.push(message) };
  const options = { log, metrics: quietMetrics, clock, identifier: "", secretsNeedIdentity };
  const xds = new XdsServer({ ...options, source: asked });
  return Object.assign(scripted, { xds, open: opener((grpc) => xds.addTo(grpc, peerOf)) });
}

/** Opens calls of the services that are added to a server of gRPC's. */
function opener(add: (grpc: Server) => void): (path: string) => ScriptedCall {
  const handlers = new Map<string, (call: unknown) => void>();
  const grpc = {
    addService(methods: Record<string, { path: string }>, handle: Record<string, (call: unknown) => void>) {
      for (const [name, { path }] of Object.entries(methods)) handlers.set(path, handle[name] ?? (() => undefined));
    },
  };
  add(grpc as unknown as Server);
  return (path) => {
    const call = new ScriptedCall();
    handlers.get(path)?.(call);
    return call;
  };
}

/** A call as gRPC would hand it over. */
class ScriptedCall extends EventEmitter {
  written = 0;
  ended: { readonly code: status; readonly details?: string } | undefined;
  readonly codes: status[] = [];

  constructor() {
    super();
    this.on("error", (error: { code: status; details: string }) => {
      this.ended ??= error;
      this.codes.push(error.code);
    });
  }

  getPeer(): string {
    return "10.0.0.1:4711";
  }

  sendMetadata(): void {
    // Nobody looks at it.
  }

  write(_bytes: Buffer, done?: () => void): void {
    this.written += 1;
    done?.();
  }

  end(): void {
    this.ended ??= { code: status.OK };
  }

  send(bytes: Uint8Array): void {
    this.emit("data", Buffer.from(bytes));
  }
}

function sotw(node: XdsNode): Uint8Array {
  const request: DiscoveryRequest = {
    versionInfo: "",
    node,
    resourceNames: [],
    typeUrl: CLUSTER_TYPE_URL,
    responseNonce: "",
    errorDetail: undefined,
  };
  return encodeDiscoveryRequest(request);
}
