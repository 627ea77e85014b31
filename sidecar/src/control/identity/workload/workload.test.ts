import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createPublicKey, type KeyObject } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Metadata, Server, ServerCredentials, type ServerWritableStream, status } from "@grpc/grpc-js";
import { Live, ManualClock, systemClock } from "@heddle/base";
import { certificateRequest, newWorkloadKey, parseSpiffeId, privateKeyPem } from "@heddle/identity";
import { Authority } from "@heddle/identity/ca";
import { encodeMessage } from "@heddle/proto";
import { xdsDial } from "@heddle/xds/client";
import { byteMethod } from "@heddle/xds/server";
import { eventually, quietLog } from "@heddle/xds/testing";
import { type Identity, NO_IDENTITY } from "../own-identity.ts";
import { WorkloadIdentity } from "./workload-identity.ts";
import { WorkloadServer } from "./workload-server.ts";
import {
  decodeX509SvidResponse,
  encodeX509SvidResponse,
  FETCH_X509_BUNDLES,
  FETCH_X509_SVID,
  JWT_METHODS,
} from "./workload-wire.ts";

const WEB = "spiffe://cluster.local/ns/shop/sa/web";

const authority = await Authority.createRoot("cluster.local", { nowMs: Date.now() });
const foreign = await Authority.createRoot("other.example", { nowMs: Date.now() });

async function issued(id = WEB, validityMs = 3_600_000): Promise<Identity & { readonly publicKey: KeyObject }> {
  const parsed = parseSpiffeId(id);
  assert.ok(parsed.ok);
  const key = newWorkloadKey();
  const made = await authority.issue(certificateRequest(key, undefined), parsed.value, {
    nowMs: Date.now(),
    validityMs,
  });
  assert.ok(made.ok);
  const { certificates: chain, validFromMs, validToMs } = made.value;
  const bundles = [authority, foreign].map(({ trustDomain, roots }) => ({
    trustDomain,
    x509Authorities: roots.map(({ der }) => der),
    jwtAuthorities: [],
    sequenceNumber: 0,
    refreshHintSeconds: 0,
  }));
  const svid = { id, trustDomain: "cluster.local", chain, key: privateKeyPem(key), validFromMs, validToMs };
  return { svid, bundles, publicKey: key.publicKey };
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-workload-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function served(t: TestContext, live: Live<Identity>): Promise<string> {
  const path = join(folderOf(t), "api.sock");
  const server = new WorkloadServer({ live, log: quietLog });
  t.after(() => server.close());
  const listening = await server.listen(path);
  assert.ok(listening.ok, listening.ok ? "" : listening.error);
  return path;
}

/** A call, and what has come of it so far. */
function call(t: TestContext, path: string, method: string, header: string | null = "true") {
  const channel = xdsDial(`unix:${path}`)();
  t.after(() => channel.close());
  const metadata = new Metadata();
  if (header !== null) metadata.set("workload.spiffe.io", header);
  const messages: Buffer[] = [];
  const outcome: { code?: status } = {};
  const asIs = (bytes: Buffer): Buffer => bytes;
  const stream = channel.makeServerStreamRequest(method, asIs, asIs, Buffer.alloc(0), metadata);
  stream.on("data", (bytes: Buffer) => messages.push(bytes));
  stream.on("error", () => undefined);
  stream.on("status", ({ code }) => {
    outcome.code = code;
  });
  return { messages, outcome, stream };
}

function follow(t: TestContext, target: string, clock = systemClock): WorkloadIdentity {
  const client = new WorkloadIdentity({ clock, log: quietLog, random: () => 0.01, dial: xdsDial(target) });
  t.after(() => client.close());
  client.start();
  return client;
}

test("an application beside the sidecar gets its identity, and each that comes after it", async (t) => {
  const first = await issued();
  const live = new Live<Identity>(first);
  const path = await served(t, live);
  const client = follow(t, `unix:${path}`);
  await eventually(() => client.live.current.svid !== undefined);
  assert.equal(client.live.current.svid?.id, WEB);
  assert.ok(createPublicKey(client.live.current.svid?.key ?? "").equals(first.publicKey));
  assert.deepEqual(
    client.live.current.bundles.map(({ trustDomain }) => trustDomain),
    ["cluster.local", "other.example"],
  );
  const second = await issued();
  live.publish(second);
  await eventually(() => client.state.renewals === 2);
  assert.ok(createPublicKey(client.live.current.svid?.key ?? "").equals(second.publicKey));
  assert.equal(client.state.state, "valid");
});

test("Workload API §4.4: a federated bundle that is not told of any more is not kept", async (t) => {
  const first = await issued();
  const live = new Live<Identity>(first);
  const client = follow(t, `unix:${await served(t, live)}`);
  await eventually(() => client.live.current.bundles.length === 2);
  live.publish({ ...first, bundles: first.bundles.slice(0, 1) });
  await eventually(() => client.live.current.bundles.length === 1);
});

test("Workload Endpoint §3: a call without the security header, or with another value, is InvalidArgument", async (t) => {
  const path = await served(t, new Live<Identity>(await issued()));
  for (const method of [FETCH_X509_SVID, FETCH_X509_BUNDLES, ...JWT_METHODS]) {
    for (const header of [null, "True", "false", ""]) {
      const { outcome, messages } = call(t, path, method, header);
      await eventually(() => outcome.code !== undefined);
      assert.equal(outcome.code, status.INVALID_ARGUMENT, `${method} ${header}`);
      assert.equal(messages.length, 0);
    }
  }
});

test("Workload API §1: the JWT profile is switched off: Unimplemented", async (t) => {
  const path = await served(t, new Live<Identity>(await issued()));
  for (const method of JWT_METHODS) {
    const { outcome } = call(t, path, method);
    await eventually(() => outcome.code !== undefined);
    assert.equal(outcome.code, status.UNIMPLEMENTED);
  }
});

test("Workload API §4.3: bundles come at once and whole, and again when they change", async (t) => {
  const identity = await issued();
  const live = new Live<Identity>(identity);
  const { messages } = call(t, await served(t, live), FETCH_X509_BUNDLES);
  await eventually(() => messages.length === 1);
  live.publish({ ...identity, bundles: identity.bundles.slice(0, 1) });
  await eventually(() => messages.length === 2);
  assert.ok(messages[0]!.includes("spiffe://other.example"));
  assert.ok(messages[1]!.includes("spiffe://cluster.local"));
  assert.ok(!messages[1]!.includes("spiffe://other.example"));
});

test("Workload Endpoint §6: while there is no identity a call is Unavailable, and so is one whose identity has expired", async (t) => {
  const live = new Live<Identity>(NO_IDENTITY);
  const path = await served(t, live);
  const early = call(t, path, FETCH_X509_SVID);
  await eventually(() => early.outcome.code === status.UNAVAILABLE);
  live.publish(await issued());
  const { outcome, messages } = call(t, path, FETCH_X509_SVID);
  await eventually(() => messages.length === 1);
  live.publish({ ...live.current, svid: undefined });
  await eventually(() => outcome.code === status.UNAVAILABLE);
});

test("the socket is its owner's alone; one that a dead process left behind is replaced, and anything else is not", async (t) => {
  const live = new Live<Identity>(await issued());
  const path = await served(t, live);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const second = new WorkloadServer({ live, log: quietLog });
  const taken = await second.listen(path);
  assert.match(taken.ok ? "" : taken.error, /EADDRINUSE/);
  second.close();
  assert.ok(existsSync(path), "whose it is keeps it");

  const file = join(folderOf(t), "file");
  writeFileSync(file, "somebody's");
  const third = new WorkloadServer({ live, log: quietLog });
  const refused = await third.listen(file);
  assert.equal(refused.ok, false);
  third.close();
  assert.ok(existsSync(file));
});

/** An agent that does what it is told to each call. */
async function agent(
  t: TestContext,
  answer: (stream: ServerWritableStream<Buffer, Buffer>, calls: number) => void,
): Promise<{ readonly target: string; readonly calls: () => number; readonly headers: string[] }> {
  const server = new Server();
  let calls = 0;
  const headers: string[] = [];
  server.addService(
    { svids: byteMethod(FETCH_X509_SVID, false, true) },
    {
      svids: (stream: ServerWritableStream<Buffer, Buffer>) => {
        headers.push(stream.metadata.get("workload.spiffe.io").join());
        answer(stream, ++calls);
      },
    },
  );
  const path = join(folderOf(t), "agent.sock");
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  t.after(() => server.forceShutdown());
  return { target: `unix:${path}`, calls: () => calls, headers };
}

test("Workload API §4.2: a stream that ends is opened again, with the security header, and what was told serves meanwhile", async (t) => {
  const identity = await issued();
  const bytes = encodeX509SvidResponse(identity)!;
  const { target, calls, headers } = await agent(t, (stream, count) => {
    stream.write(bytes);
    if (count < 3) stream.end();
  });
  const client = follow(t, target);
  let lost = 0;
  client.live.watch(({ svid }) => {
    if (svid === undefined) lost += 1;
  });
  await eventually(() => calls() === 3);
  await eventually(() => client.state.state === "valid");
  assert.deepEqual([...new Set(headers)], ["true"]);
  assert.equal(lost, 0);
});

test("Workload API §5.2.1: PermissionDenied takes the identity away; the agent is asked again", async (t) => {
  const bytes = encodeX509SvidResponse(await issued())!;
  let redact: (() => void) | undefined;
  const { target } = await agent(t, (stream, count) => {
    if (count === 2) return void stream.emit("error", { code: status.PERMISSION_DENIED, details: "not registered" });
    stream.write(bytes);
    redact = () => stream.emit("error", { code: status.PERMISSION_DENIED, details: "not registered" });
  });
  const client = follow(t, target);
  await eventually(() => client.live.current.svid !== undefined);
  const seen: (string | undefined)[] = [];
  client.live.watch(({ svid }) => seen.push(svid?.id));
  redact?.();
  await eventually(() => client.live.current.svid !== undefined && seen.length > 1);
  assert.deepEqual(seen, [undefined, WEB]);
});

test("Workload Endpoint §6: InvalidArgument and Unimplemented are reported, and not asked again", async (t) => {
  for (const code of [status.INVALID_ARGUMENT, status.UNIMPLEMENTED]) {
    const { target, calls } = await agent(t, (stream) => void stream.emit("error", { code, details: "no" }));
    const clock = new ManualClock();
    const client = follow(t, target, clock);
    await eventually(() => client.state.failures === 1);
    assert.equal(clock.pending, 0);
    assert.equal(calls(), 1);
  }
});

test("what an agent has told serves until it expires, and no longer", async (t) => {
  const bytes = encodeX509SvidResponse(await issued(WEB, 3_600_000))!;
  const { target } = await agent(t, (stream) => void stream.write(bytes));
  const clock = new ManualClock(Date.now());
  const client = follow(t, target, clock);
  await eventually(() => client.live.current.svid !== undefined);
  clock.advance(3_500_000);
  assert.notEqual(client.live.current.svid, undefined);
  clock.advance(200_000);
  assert.equal(client.live.current.svid, undefined);
  assert.equal(client.state.state, "expired");
  assert.equal(client.live.current.bundles.length, 2);
  client.close();
  assert.equal(clock.pending, 0);
});

test("a message of no use changes nothing: what the agent said before is used", async (t) => {
  const good = encodeX509SvidResponse(await issued())!;
  let stream: ServerWritableStream<Buffer, Buffer> | undefined;
  const { target } = await agent(t, (opened) => {
    stream = opened;
    opened.write(good);
  });
  const client = follow(t, target);
  await eventually(() => client.live.current.svid !== undefined);
  const { svid } = client.live.current;
  const other = await issued("spiffe://cluster.local/ns/shop/sa/other");
  const lying = { ...other, svid: { ...other.svid!, id: WEB } };
  stream?.write(encodeX509SvidResponse(lying)!);
  await eventually(() => client.state.failures === 1);
  assert.match(client.state.lastError, /another SPIFFE ID/);
  const stranger = {
    ...other,
    bundles: [{ ...other.bundles[0]!, x509Authorities: foreign.roots.map(({ der }) => der) }],
  };
  stream?.write(encodeX509SvidResponse(stranger)!);
  await eventually(() => client.state.failures === 2);
  assert.equal(client.live.current.svid, svid);
});

test("Workload API §4.5: a message that lacks a mandatory field is discarded, with its name and nothing of a key", async () => {
  const identity = await issued();
  const good = decodeX509SvidResponse(encodeX509SvidResponse(identity)!);
  assert.ok(good.ok);
  const { chain, bundles } =
    identity.svid === undefined ? assert.fail() : { chain: identity.svid.chain, bundles: identity.bundles };
  const whole = {
    spiffe_id: WEB,
    x509_svid: Buffer.concat(chain),
    x509_svid_key: good.value.key.export({ type: "pkcs8", format: "der" }),
    bundle: Buffer.concat(bundles[0]!.x509Authorities),
  };
  const error = (svid: object | undefined, federated: Readonly<Record<string, Uint8Array>> = {}): string => {
    const message = { svids: svid === undefined ? [] : [svid], federated_bundles: federated };
    const read = decodeX509SvidResponse(encodeMessage("heddle.spiffe.v1.X509SvidResponse", message));
    return read.ok ? "" : read.error;
  };
  assert.equal(error(whole), "");
  assert.match(error(undefined), /^svids: is empty/);
  assert.match(error({ ...whole, spiffe_id: "" }), /^svids\[0\]\.spiffe_id: /);
  assert.match(error({ ...whole, x509_svid: Buffer.alloc(0) }), /^svids\[0\]\.x509_svid: is empty/);
  assert.match(error({ ...whole, x509_svid: Buffer.concat([...chain, Buffer.from([0])]) }), /no certificates/);
  assert.match(error({ ...whole, x509_svid_key: Buffer.alloc(0) }), /^svids\[0\]\.x509_svid_key: is empty/);
  const badKey = error({ ...whole, x509_svid_key: Buffer.from("SECRET") });
  assert.match(badKey, /no private key/);
  assert.doesNotMatch(badKey, /SECRET/);
  assert.match(error({ ...whole, bundle: Buffer.alloc(0) }), /^svids\[0\]\.bundle: is empty/);
  assert.match(error(whole, { "spiffe://a/b": whole.bundle }), /a name is of a workload/);
  assert.match(error(whole, { "spiffe://a.example": Buffer.from("x") }), /a\.example.*no certificates/);
});

test("Workload API §5.3: of several identities the first is the default", async () => {
  const [first, second] = [await issued(), await issued("spiffe://cluster.local/ns/shop/sa/other")];
  const message = Buffer.concat([encodeX509SvidResponse(first)!, encodeX509SvidResponse(second)!]); // protobuf joins lists
  const read = decodeX509SvidResponse(message);
  assert.equal(read.ok && read.value.id, WEB);
});

test("nobody but the owner's processes may connect, whatever the mode of the socket becomes", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root, to be somebody else");
  const nobody = { uid: 65_534, gid: 65_534 } as const;
  if (spawnSync(process.execPath, ["-e", "0"], nobody).status !== 0)
    return t.skip("Node cannot be run as somebody else here");
  const path = await served(t, new Live<Identity>(await issued()));
  chmodSync(path, 0o666);
  chmodSync(join(path, ".."), 0o755);
  const script = `require("node:net").connect(${JSON.stringify(path)}).on("close", () => console.log("closed"));`;
  const child = spawn(process.execPath, ["-e", script], {
    ...nobody,
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill());
  let printed = "";
  child.stdout.on("data", (text: Buffer) => {
    printed += text.toString();
  });
  await eventually(() => printed === "closed\n");
});
