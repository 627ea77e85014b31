import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Client, credentials, Metadata, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import { err, ok } from "@heddle/base";
import type { PeerOf } from "@heddle/xds/server";
import { quietLog } from "@heddle/xds/testing";
import protobuf from "protobufjs";
import type { Caller } from "./access.ts";
import { GrpcResourceService } from "./grpc-service.ts";
import { ApiFixture, CLUSTER, cluster } from "./testing.ts";
import { type Access, OPEN_ACCESS } from "./token-file.ts";

/** Messages of a foreign client, looked into by hand. */
type Any = ReturnType<typeof JSON.parse>;

test("a plain gRPC client of the .proto file applies, gets, lists, deletes and watches", async (t) => {
  const { call, watch } = await serve(t);
  const applied = await call("Apply", {
    manifests: [
      { source: "a.yaml", text: cluster("a") },
      { source: "b.pb", binary: { type_url: CLUSTER, value: Buffer.from([10, 1, 0x62]) } },
    ],
    manager: "test",
  });
  assert.deepEqual(
    applied.outcomes.map((one: Any) => [one.key.name, one.outcome, Number(one.version)]),
    [
      ["a", 1, 1],
      ["b", 1, 1],
    ],
  );
  const got = await call("Get", { key: { type: "cluster", name: "a" } });
  assert.deepEqual([JSON.parse(got.json).name, Number(got.version), got.manager], ["a", 1, "test"]);
  assert.equal((await call("Get", { key: { type: "cluster", name: "b" } })).binary.type_url, CLUSTER);
  assert.equal((await call("List", { selector: { type: "cluster" } })).resources.length, 2);
  const events = watch({ selector: { type: "cluster" } });
  assert.deepEqual(await events(3), ["1 a", "1 b", "4 "]);
  assert.equal((await call("Delete", { keys: [{ type: "cluster", name: "a" }] })).outcomes[0].outcome, 4);
  assert.deepEqual(await events(1), ["2 a"]);
});

test("what fails has a status, and what was wrong in its trailers", async (t) => {
  const { call, details } = await serve(t);
  const invalid = await failure(
    call("Apply", { manifests: [{ source: "a.yaml", text: cluster("a", 1, "lb_polcy: X\n") }] }),
  );
  assert.equal(invalid.code, status.INVALID_ARGUMENT);
  assert.match(invalid.details, /^nothing was stored: 1 error\na\.yaml:5:1: lb_polcy: /);
  const [diagnostic] = details(invalid).diagnostics;
  assert.deepEqual([diagnostic.source, diagnostic.line, diagnostic.path], ["a.yaml", 5, "lb_polcy"]);
  await call("Apply", { manifests: [{ text: cluster("a") }] });
  const stale = await failure(call("Apply", { manifests: [{ text: cluster("a", 2) }], expected_version: 7 }));
  assert.deepEqual([stale.code, Number(details(stale).conflicts[0].found)], [status.ABORTED, 1]);
  assert.equal((await failure(call("Get", { key: { type: "cluster", name: "z" } }))).code, status.NOT_FOUND);
  const many = Array.from({ length: 500 }, (_, index) =>
    cluster(`c${index}`, 1, `${"long_".repeat(20)}${index}: X\n`),
  ).join("---\n");
  const flood = await failure(call("Apply", { manifests: [{ text: many }] }));
  assert.equal(flood.code, status.INVALID_ARGUMENT);
  assert.ok(
    details(flood).diagnostics.length > 0 && details(flood).diagnostics.length + details(flood).omitted === 500,
  );
});

test("what is wrong may be of any length and any text: it costs neither the process nor the connection", async (t) => {
  const { call } = await serve(t);
  for (let length = 164; length < 172; length++) {
    const text = cluster("a", 1, `"${"x".repeat(length)}${"😀".repeat(60)}": 1\n`); // one of them is cut within a character
    assert.equal((await failure(call("Apply", { manifests: [{ source: "a", text }] }))).code, status.INVALID_ARGUMENT);
  }
  const text = Array.from({ length: 900 }, (_, index) => cluster(`${"é".repeat(100)}${index}`)).join("---\n");
  const stale = await failure(call("Apply", { manifests: [{ text }], expected_version: 7 }));
  assert.equal(stale.code, status.ABORTED);
  assert.match(stale.details, /…$/);
  const keys = Array.from({ length: 900 }, (_, index) => ({ type: "cluster", name: `${"é".repeat(300)}${index}` }));
  assert.equal((await failure(call("Delete", { keys }))).code, status.NOT_FOUND);
  assert.equal((await call("List", {})).resources.length, 0);
});

test("X9: how long a message may be depends on the token, and is decided before it is read", () => {
  const callers = new Map<string | undefined, Caller>(
    (["read", "write", "admin"] as const).map((role) => [
      role,
      { name: role, role, groups: undefined, namespaces: undefined },
    ]),
  );
  const access: Access = { ...OPEN_ACCESS, isOpen: false, callerOf: (authorization) => callers.get(authorization) };
  const service = new GrpcResourceService({ access } as ConstructorParameters<typeof GrpcResourceService>[0]);
  const path = "/heddle.resources.v1.ResourceService/Apply";
  const allowed = [undefined, "guessed", "read", "write", "admin"].map((one) => service.messageBytes(path, one));
  const [short, long] = [128 * 1024, 8 * 1024 * 1024 + 64 * 1024];
  assert.deepEqual(allowed, [short, short, short, long, long]);
  assert.equal(service.messageBytes("/envoy.service.discovery.v3.X/Y", "admin"), undefined);
});

test("with tokens nobody gets in without one", async (t) => {
  const reader: Caller = { name: "r", role: "read", groups: undefined, namespaces: undefined };
  const access: Access = {
    ...OPEN_ACCESS,
    isOpen: false,
    callerOf: (header) => (header === "Bearer yes" ? reader : undefined),
  };
  const { call, watch } = await serve(t, access);
  const denied = await failure(call("List", {}));
  assert.deepEqual([denied.code, denied.details], [status.UNAUTHENTICATED, "no token that is known"]);
  await assert.rejects(watch({})(1), /UNAUTHENTICATED/);
  const metadata = new Metadata();
  metadata.set("authorization", "Bearer yes");
  assert.equal((await call("List", {}, metadata)).resources.length, 0);
  const write = await failure(
    call("Delete", { keys: [{ type: "cluster", name: "a" }], ignore_missing: true }, metadata),
  );
  assert.equal(write.code, status.PERMISSION_DENIED);
});

test("X1: where callers show certificates, one that is named may what is said of it, and a token counts before it", async (t) => {
  const caller = (name: string, role: Caller["role"]): Caller => ({
    name,
    role,
    groups: undefined,
    namespaces: undefined,
  });
  const access: Access = {
    ...OPEN_ACCESS,
    isOpen: false,
    callerOf: (header) => (header === "Bearer yes" ? caller("token", "read") : undefined),
    callerOfIdentity: (id) => (id === "spiffe://mesh.test/ns/ci/sa/bot" ? caller("bot", "write") : undefined),
  };
  let peer: ReturnType<PeerOf> = ok({ identity: { trustDomain: "mesh.test", path: "/ns/ci/sa/bot" }, notAfterMs: 0 });
  const { call } = await serve(t, access, () => peer);
  const applied = await call("Apply", { manifests: [{ text: cluster("a") }] });
  assert.equal(applied.outcomes[0].outcome, 1);
  for (const [header, code] of [
    ["Bearer yes", status.PERMISSION_DENIED],
    ["Bearer no", status.UNAUTHENTICATED],
  ] as const) {
    const metadata = new Metadata();
    metadata.set("authorization", header);
    const refused = await failure(call("Apply", { manifests: [{ text: cluster("b") }] }, metadata));
    assert.equal(refused.code, code);
  }
  peer = ok({ identity: { trustDomain: "mesh.test", path: "/ns/shop/sa/web" }, notAfterMs: 0 });
  assert.equal((await failure(call("List", {}))).code, status.UNAUTHENTICATED);
  peer = err("the certificate of the connection has ended");
  assert.equal((await failure(call("List", {}))).code, status.UNAUTHENTICATED);
});

test("X1: a watch that was opened by certificate ends with that", async (t) => {
  const access: Access = {
    ...OPEN_ACCESS,
    isOpen: false,
    callerOf: () => undefined,
    callerOfIdentity: (name) => ({ name, role: "read", groups: undefined, namespaces: undefined }),
  };
  const isOver = { now: false };
  const { watch, clock } = await serve(t, access, () =>
    isOver.now
      ? err("the certificate of the connection has ended")
      : ok({ identity: { trustDomain: "mesh.test", path: "/bot" }, notAfterMs: clock.wallNow() + 1000 }),
  );
  const events = watch({});
  assert.deepEqual(await events(1), ["4 "]);
  isOver.now = true;
  clock.advance(1001);
  await assert.rejects(events(1), /UNAUTHENTICATED: the certificate of the connection has ended/);
});

async function serve(t: TestContext, access: Access = OPEN_ACCESS, peerOf?: PeerOf) {
  const api = await new ApiFixture().start();
  const service = new GrpcResourceService({ service: api.service, access, clock: api.clock, log: quietLog });
  const server = new Server();
  service.addTo(server, peerOf);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  t.after(() => {
    client.close();
    service.close();
    server.forceShutdown();
  });
  const root = new protobuf.Root();
  root.resolvePath = (_, target) => join(import.meta.dirname, "../../../proto", target.replace(/^.*heddle/, "heddle"));
  const file = "heddle/resources/v1/resources.proto";
  await root.load(file, { keepCase: true });
  const type = (name: string): protobuf.Type => root.lookupType(`heddle.resources.v1.${name}`);
  const path = (name: string): string => `/heddle.resources.v1.ResourceService/${name}`;
  const encoder = (name: string) => (message: Any) =>
    Buffer.from(type(name).encode(type(name).fromObject(message)).finish());
  const call = (name: string, request: Any, metadata = new Metadata()): Promise<Any> =>
    new Promise((resolve, reject) => {
      const response = name === "Get" ? "Resource" : `${name}Response`;
      client.makeUnaryRequest(
        path(name),
        encoder(`${name}Request`),
        (bytes) => type(response).decode(bytes),
        request,
        metadata,
        (error, value) => (error === null ? resolve(value) : reject(error)),
      );
    });
  const watch = (request: Any) => {
    const stream = client.makeServerStreamRequest(
      path("Watch"),
      encoder("WatchRequest"),
      (bytes: Buffer): Any => type("WatchResponse").decode(bytes),
      request,
    );
    const events = stream[Symbol.asyncIterator]();
    t.after(() => stream.on("error", () => undefined).cancel());
    return async (count: number): Promise<readonly string[]> => {
      const lines: string[] = [];
      while (lines.length < count) {
        const { value } = await events.next();
        lines.push(`${value.type} ${value.resource?.key.name ?? ""}`);
      }
      return lines;
    };
  };
  const details = (error: ServiceError): Any =>
    type("ErrorDetails").decode(error.metadata.get("heddle-errors-bin")[0] as Buffer);
  return { call, watch, details, clock: api.clock };
}

async function failure(call: Promise<unknown>): Promise<ServiceError> {
  const error = await call.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof Error, "it has not failed");
  return error as ServiceError;
}
