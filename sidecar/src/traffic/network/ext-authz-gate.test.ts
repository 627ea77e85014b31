import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Json } from "@heddle/base";
import type { ListenerConfig } from "@heddle/traffic";
import { networkFilters } from "../build/network-filters.ts";
import { clusterConfig, Harness, MemoryConnection } from "../http/testing-harness.ts";
import { networkExtAuthzType } from "./ext-authz-gate-type.ts";
import type { ConnectionEnd } from "./network-filter.ts";

const CONFIG = { statPrefix: "tcp", grpcService: { envoyGrpc: { clusterName: "authz" } } };

let harness: Harness;
let ends: (ConnectionEnd | undefined)[];

before(() => networkExtAuthzType.load?.());

beforeEach(() => {
  harness = new Harness({ clusters: [clusterConfig("authz")] });
  ends = [];
});

/** A client of an echo behind that filter, which has sent "hello". */
function connect(config: Json = {}): MemoryConnection {
  const gate = {
    type: "extension",
    name: "authz",
    config: { name: "authz", type: networkExtAuthzType.configType, config: { ...CONFIG, ...(config as object) } },
  } as const;
  const chain = {
    name: "",
    match: undefined,
    filters: [gate, { type: "echo", name: "echo" } as const],
    transportSocketConnectTimeoutMs: 0,
  };
  const filter = networkFilters(harness.env, () => undefined as ListenerConfig | undefined)(chain, "l");
  const client = new MemoryConnection();
  const { id, remoteAddress, remotePort, localAddress, localPort } = client;
  const addresses = { remoteAddress, remotePort, localAddress, localPort, directRemoteAddress: remoteAddress };
  filter.serve(client, { ...addresses, connectionId: id, listener: "l", filterChain: "" }, (end) => ends.push(end));
  client.send("hello");
  harness.clients.push(client);
  harness.run();
  return client;
}

/** The service answers over HTTP/1 here, which says the same: gRPC's frame and trailers are all that counts. */
function answers(message: Buffer, status = 0): void {
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
  const chunk = `${frame.length.toString(16)}\r\n${frame.toString("latin1")}\r\n`;
  const head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
  harness.upstream().send(`${head}${chunk}0\r\ngrpc-status: ${status}\r\n\r\n`);
  harness.run();
}

const ALLOWED = Buffer.alloc(0);
/** `status { code: 7 }` */
const DENIED = Buffer.from([0x0a, 0x02, 0x08, 0x07]);

describe("the network filter ext_authz", () => {
  test("a connection waits, unread, until it is allowed", () => {
    const client = connect();
    assert.equal(client.take(), "");
    assert.match(harness.upstream().take(), /^POST \/envoy\.service\.auth\.v3\.Authorization\/Check HTTP\/1\.1\r\n/);
    assert.equal(harness.value("ext_authz.active"), 1);
    answers(ALLOWED);
    assert.equal(client.take(), "hello");
    assert.equal(harness.value("ext_authz.ok"), 1);
    assert.equal(harness.value("ext_authz.active"), 0);
  });

  test("one that is denied is closed without a byte, and the log says why", () => {
    const client = connect();
    answers(DENIED);
    assert.deepEqual([client.closed, client.take()], [true, ""]);
    assert.equal(ends[0]?.terminationDetails, "ext_authz_denied");
    assert.equal(harness.value("ext_authz.denied"), 1);
    assert.equal(harness.value("ext_authz.cx_closed"), 1);
  });

  test("where the service fails the connection is closed, unless it is said otherwise", () => {
    const closed = connect();
    answers(ALLOWED, 14);
    assert.equal(closed.closed, true);
    assert.equal(ends[0]?.terminationDetails, "ext_authz_error");
    const open = connect({ failureModeAllow: true, grpcService: { envoyGrpc: { clusterName: "nobody" } } });
    harness.advance(10);
    assert.equal(open.take(), "hello");
    assert.equal(harness.value("ext_authz.failure_mode_allowed"), 1);
  });

  test("a service that does not answer is not waited for longer than its time", () => {
    const client = connect();
    harness.advance(300);
    assert.equal(client.closed, true);
    assert.equal(harness.value("ext_authz.error"), 1);
  });

  test("a client that goes away takes the question along", () => {
    const client = connect();
    client.destroy();
    harness.run();
    assert.equal(harness.value("ext_authz.active"), 0);
    assert.equal(harness.leaks(), "");
  });

  test("in shadow mode a denied connection passes, and the log knows", () => {
    const client = connect({ shadowMode: true });
    answers(DENIED);
    assert.equal(client.take(), "hello");
    assert.equal(harness.value("ext_authz.shadow_denied"), 1);
  });

  test("only connections with such metadata are asked about", () => {
    const matcher = { filter: "a", path: [{ key: "b" }], value: { presentMatch: true } };
    assert.equal(connect({ filterEnabledMetadata: matcher }).take(), "hello");
    assert.equal(harness.value("ext_authz.disabled"), 1);
  });

  test("a configuration without a service is refused", () => {
    assert.equal(networkExtAuthzType.parse({ statPrefix: "a" }).ok, false);
    const google = { statPrefix: "a", grpcService: { googleGrpc: { targetUri: "x" } } };
    assert.equal(networkExtAuthzType.parse(google).ok, false);
  });
});
