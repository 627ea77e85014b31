import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { err, Live } from "@heddle/base";
import { TestAuthority } from "@heddle/identity/testing";
import { eventually } from "@heddle/xds/testing";
import { applyJsonPatch, podReview } from "./testing.ts";
import {
  AUTHORITY,
  ask,
  keptConnection,
  newServingPair,
  openTestWebhooks,
  PODS,
  SERVICE_NAME,
} from "./testing-server.ts";

const POD = {
  metadata: { generateName: "web-" },
  spec: { containers: [{ name: "app", env: [{ name: "PASSWORD", value: "hunter2" }] }] },
};
const REVIEW = JSON.stringify(podReview(POD));

test("a review over TLS is answered with its uid, and a patch that an API server can apply", async (t) => {
  const { port } = await openTestWebhooks(t);
  const { status, headers, json } = await ask(port, "/inject?timeout=10s", { body: REVIEW });
  assert.equal(status, 200);
  assert.equal(headers["content-type"], "application/json");
  assert.deepEqual([json.kind, json.apiVersion], ["AdmissionReview", "admission.k8s.io/v1"]);
  assert.equal(json.response.uid, podReview(POD).request.uid);
  assert.deepEqual([json.response.allowed, json.response.patchType], [true, "JSONPatch"]);
  const patched = applyJsonPatch(POD, JSON.parse(Buffer.from(json.response.patch, "base64").toString()));
  assert.deepEqual((patched as typeof POD & { spec: { initContainers: unknown } }).spec.initContainers, [
    { name: "heddle-sidecar", restartPolicy: "Always" },
  ]);
});

test("a route is refused by /validate with what heddle check says", async (t) => {
  const { port, counters } = await openTestWebhooks(t);
  const group = "gateway.networking.k8s.io";
  const route = {
    apiVersion: `${group}/v1`,
    kind: "HTTPRoute",
    metadata: { name: "web" },
    spec: { parentRefs: [{ group: "", kind: "Service", name: "web" }], rules: [] },
  };
  const change = {
    kind: { group, version: "v1", kind: "HTTPRoute" },
    resource: { group, version: "v1", resource: "httproutes" },
  };
  const { json } = await ask(port, "/validate", { body: JSON.stringify(podReview(route, change)) });
  assert.equal(json.response.allowed, false);
  assert.equal(json.response.status.code, 422);
  assert.match(json.response.status.message, /^spec\.rules: is empty/);
  assert.equal(counters.values.get("webhook.reviews refused"), 1);
});

for (const [what, path, question, status, message] of [
  ["no JSON", "/inject", { body: '{"kind":' }, 400, /no JSON/],
  ["an empty body", "/inject", { body: "" }, 400, /no JSON/],
  ["a list", "/validate", { body: "[]" }, 400, /no object/],
  ["another kind", "/inject", { body: '{"kind":"Pod","apiVersion":"v1"}' }, 400, /found "Pod"/],
  [
    "another version of a review",
    "/inject",
    { body: REVIEW.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1") },
    400,
    /v1beta1.*allowed: "admission\.k8s\.io\/v1"/,
  ],
  ["no request", "/inject", { body: '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}' }, 400, /missing/],
  ["a key that stands twice", "/inject", { body: REVIEW.replace("{", '{"kind":"Pod",') }, 400, /"kind" stands twice/],
  ["bytes that are no UTF-8", "/inject", { body: Buffer.from([0x7b, 0xff, 0x7d]) }, 400, /UTF-8/],
  [
    "another content type",
    "/inject",
    { body: REVIEW, headers: { "content-type": "application/yaml" } },
    415,
    /application\/json/,
  ],
  [
    "another charset",
    "/inject",
    { body: REVIEW, headers: { "content-type": "application/json; charset=utf-16" } },
    415,
    /UTF-8/,
  ],
  ["a content-encoding", "/inject", { body: REVIEW, headers: { "content-encoding": "gzip" } }, 415, /content-encoding/],
  ["GET", "/inject", { method: "GET" }, 405, /POST/],
  ["PUT", "/validate", { method: "PUT", body: REVIEW }, 405, /POST/],
  ["POST of a probe", "/healthz", { body: REVIEW }, 405, /GET/],
  ["another path", "/", { body: REVIEW }, 404, /no such path/],
  ["a tag that is no name", "/inject/rev/..%2f", { body: REVIEW }, 404, /no such path/],
  ["a tag that is empty", "/inject/rev/", { body: REVIEW }, 404, /no such path/],
] as const)
  test(`${what} is answered with ${status} and a reason, and the next review is answered`, async (t) => {
    const { port, counters } = await openTestWebhooks(t);
    const answer = await ask(port, path, question);
    assert.equal(answer.status, status);
    assert.deepEqual([answer.json.kind, answer.json.code], ["Status", status]);
    assert.match(answer.json.message, message);
    assert.equal(answer.headers.connection, "close");
    assert.equal(counters.values.get(`webhook.calls_refused ${status}`), 1);
    assert.equal((await ask(port, "/inject", { body: REVIEW })).json.response.allowed, true);
  });

test("W2: a body beyond 3 MiB is 413, told before it is sent and while it is", async (t) => {
  const { port } = await openTestWebhooks(t);
  const body = `{"padding":"${"x".repeat(3 * 1024 * 1024)}"}`;
  assert.equal((await ask(port, "/inject", { body })).status, 413);
  const chunked = await ask(port, "/inject", { body, headers: { "transfer-encoding": "chunked" } }).catch(
    // What it sends when it has been answered meets a closed connection.
    (error: NodeJS.ErrnoException) => error,
  );
  if (!(chunked instanceof Error)) assert.equal(chunked.status, 413);
  else assert.match(chunked.code ?? "", /EPIPE|ECONNRESET/);
  assert.equal((await ask(port, "/inject", { body: REVIEW })).status, 200);
});

test("W2: who asks before it sends hears first what is wrong, and else that it may", async (t) => {
  const { port } = await openTestWebhooks(t);
  const statusOf = async (length: number): Promise<string> => {
    const socket = connect({ host: "127.0.0.1", port, ca: AUTHORITY.certificate, servername: SERVICE_NAME });
    const head = `POST /inject HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n`;
    socket.write(`${head}content-length: ${length}\r\n\r\n`);
    const [first] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return first.toString().slice(0, 12);
  };
  assert.equal(await statusOf(4 * 1024 * 1024), "HTTP/1.1 413");
  assert.equal(await statusOf(100), "HTTP/1.1 100");
});

test("W2: a text of a million brackets is refused, and nothing of it is built", async (t) => {
  const { port } = await openTestWebhooks(t);
  for (const body of ["[".repeat(3_000_000), '{"a":'.repeat(600_000)]) {
    const answer = await ask(port, "/inject", { body });
    assert.equal(answer.status, 400);
    assert.match(answer.json.message, /nested deeper than 100/);
  }
});

test("W1: bodies that are being sent at a time have a limit together", async (t) => {
  const { port } = await openTestWebhooks(t, { limits: { allBodiesBytes: REVIEW.length - 1 } });
  const answer = await ask(port, "/inject", { body: REVIEW });
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, "1"]);
});

test("a review that is malformed behind its uid is refused as a review", async (t) => {
  const { port } = await openTestWebhooks(t);
  const { status, json } = await ask(port, "/inject", { body: JSON.stringify(podReview(undefined)) });
  assert.equal(status, 200);
  assert.deepEqual([json.response.uid, json.response.allowed], [podReview(POD).request.uid, false]);
  assert.match(json.response.status.message, /request\.object: is missing, and a CREATE has one/);
});

test("DELETE operations and subresources are let through", async (t) => {
  const { port } = await openTestWebhooks(t);
  for (const path of ["/inject", "/validate"])
    for (const change of [
      { operation: "DELETE", object: null, oldObject: POD },
      { operation: "UPDATE", subResource: "status", oldObject: POD },
    ]) {
      const { json } = await ask(port, path, { body: JSON.stringify(podReview(POD, change)) });
      assert.equal(json.response.allowed, true);
      assert.equal(json.response.patch, undefined);
    }
});

test("W1: where nobody knows a namespace's labels the API server decides, by a 503", async (t) => {
  const namespaces = { known: () => undefined, labelsOf: async () => err("the API server cannot be reached") };
  const { port, log } = await openTestWebhooks(t, {
    pods: { ...PODS, namespaces },
  });
  const answer = await ask(port, "/inject", { body: REVIEW });
  assert.equal(answer.status, 503);
  assert.match(answer.json.message, /labels of namespace shop are not known now/);
  assert.equal(log.with("a pod cannot be judged now").length, 1);
});

test("W2: a review is answered before the API server gives up, by what it says it waits", async (t) => {
  const waits: number[] = [];
  const namespaces = {
    known: () => undefined,
    labelsOf: async (_name: string, withinMs: number) => {
      waits.push(withinMs);
      return err("slow");
    },
  };
  const { port } = await openTestWebhooks(t, { pods: { ...PODS, namespaces } });
  for (const query of ["?timeout=2s", "?timeout=30s", "", "?timeout=-1s&x"])
    await ask(port, `/inject${query}`, { body: REVIEW });
  assert.ok(waits[0]! <= 1000 && waits[0]! > 0, String(waits[0]));
  assert.ok(
    waits.slice(1).every((ms) => ms <= 3000 && ms > 1000),
    waits.join(),
  );
});

test("what throws within a review is that review's alone", async (t) => {
  const { port, log } = await openTestWebhooks(t, {
    pods: {
      ...PODS,
      injection: {
        ...PODS.injection,
        decide: () => {
          throw new Error("boom");
        },
      },
    },
  });
  const answer = await ask(port, "/inject", { body: REVIEW });
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.text, /boom/);
  assert.equal(log.with("a review failed").length, 1);
  assert.equal((await ask(port, "/healthz", { method: "GET" })).status, 200);
});

test("no line of the log and no answer has anything of a pod's contents", async (t) => {
  const { port, log } = await openTestWebhooks(t);
  const review = await ask(port, "/inject", { body: REVIEW });
  const patch = Buffer.from(review.json.response.patch, "base64").toString();
  const refused = podReview({ ...POD, spec: { ...POD.spec, containers: "hunter2" } });
  const answers = [
    await ask(port, "/inject", { body: JSON.stringify(refused) }),
    await ask(port, "/inject", { body: REVIEW.slice(0, -20) }),
  ];
  assert.doesNotMatch([patch, ...log.lines, ...answers.map(({ text }) => text)].join("\n"), /hunter2/);
  assert.equal(log.with("a pod gets its sidecar").length, 1);
});

test("W7: who trusts another authority, or looks for another name, gets no connection", async (t) => {
  const { port } = await openTestWebhooks(t);
  await assert.rejects(ask(port, "/inject", { body: REVIEW, ca: new TestAuthority("Other").certificate }));
  await assert.rejects(ask(port, "/inject", { body: REVIEW, servername: "other.heddle-system.svc" }), /altnames/);
});

test("TLS below 1.2 is not spoken", async (t) => {
  const { port } = await openTestWebhooks(t);
  const socket = connect({
    host: "127.0.0.1",
    port,
    ca: AUTHORITY.certificate,
    servername: SERVICE_NAME,
    minVersion: "TLSv1.1",
    maxVersion: "TLSv1.1",
  });
  await assert.rejects(once(socket, "secureConnect"));
});

test("W5: a new certificate is for the handshakes to come, and no connection ends", async (t) => {
  const { port, identity } = await openTestWebhooks(t);
  const agent = keptConnection(t);
  const before = await ask(port, "/inject", { body: REVIEW, agent });
  identity.publish(newServingPair());
  const same = await ask(port, "/inject", { body: REVIEW, agent });
  const fresh = await ask(port, "/inject", { body: REVIEW });
  assert.equal(same.fingerprint, before.fingerprint);
  assert.notEqual(fresh.fingerprint, before.fingerprint);
  assert.deepEqual([same.status, fresh.status], [200, 200]);
});

test("without a certificate nobody is let in, and one that comes later lets them in", async (t) => {
  const identity = new Live<ReturnType<typeof newServingPair> | undefined>(undefined);
  const { port } = await openTestWebhooks(t, { identity });
  await assert.rejects(ask(port, "/readyz", { method: "GET" }));
  identity.publish(newServingPair());
  assert.equal((await ask(port, "/readyz", { method: "GET" })).status, 200);
});

test("W5: with a client authority reviews are for its certificates, and probes for all", async (t) => {
  const clients = new TestAuthority("Clients");
  const { port } = await openTestWebhooks(t, { clientCa: new Live<string | undefined>(clients.certificate) });
  const shown = ({ chain, key }: { chain: string; key: string }) => ({ body: REVIEW, cert: chain, key });
  assert.equal((await ask(port, "/inject", { body: REVIEW })).status, 403);
  const stranger = new TestAuthority("Clients").issue({ commonName: "kube-apiserver", usage: "client" });
  assert.equal((await ask(port, "/inject", shown(stranger))).status, 403);
  const ended = clients.issue({
    commonName: "kube-apiserver",
    usage: "client",
    validTo: new Date(0),
    validFrom: new Date(-1000),
  });
  assert.equal((await ask(port, "/inject", shown(ended))).status, 403);
  const server = clients.issue({ commonName: "kube-apiserver", usage: "server" });
  assert.equal((await ask(port, "/inject", shown(server))).status, 403);
  const known = clients.issue({ commonName: "kube-apiserver", usage: "client" });
  assert.equal((await ask(port, "/inject", shown(known))).status, 200);
  assert.equal((await ask(port, "/validate", { body: REVIEW })).status, 403);
  assert.equal((await ask(port, "/healthz", { method: "GET" })).status, 200);
});

test("W5: of a client authority's certificates those with the name are let in", async (t) => {
  const clients = new TestAuthority("Clients");
  const { port } = await openTestWebhooks(t, {
    clientCa: new Live<string | undefined>(clients.certificate),
    clientNames: ["kube-apiserver"],
  });
  const statusFor = async (wish: object): Promise<number> => {
    const { chain, key } = clients.issue({ usage: "client", ...wish });
    return (await ask(port, "/inject", { body: REVIEW, cert: chain, key })).status;
  };
  assert.equal(await statusFor({ commonName: "kube-apiserver" }), 200);
  assert.equal(await statusFor({ commonName: "api", dns: ["kube-apiserver"] }), 200);
  assert.equal(await statusFor({ commonName: "kubelet" }), 403);
  assert.equal(await statusFor({ commonName: "kubelet\nCN=kube-apiserver" }), 403);
  assert.equal(await statusFor({ commonName: "kubelet", organization: "x\nCN=kube-apiserver" }), 403);
});

test("a client authority that is replaced lets nobody in by a session of before", async (t) => {
  const [old, next] = [new TestAuthority("Old"), new TestAuthority("New")];
  const clientCa = new Live<string | undefined>(old.certificate);
  const { port } = await openTestWebhooks(t, { clientCa });
  const { chain: cert, key } = old.issue({ commonName: "api", usage: "client" });
  const sessions: Buffer[] = [];
  const options = { host: "127.0.0.1", port, ca: AUTHORITY.certificate, servername: SERVICE_NAME, cert, key };
  const first = connect(options);
  first.on("session", (session) => sessions.push(session));
  await once(first, "secureConnect");
  first.write("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
  await once(first, "data");
  first.destroy();
  clientCa.publish(next.certificate);
  assert.equal((await ask(port, "/inject", { body: REVIEW, cert, key })).status, 403);
  for (const session of sessions) {
    const again: TLSSocket = connect({ ...options, session });
    await once(again, "secureConnect");
    assert.equal(again.isSessionReused(), false);
    again.destroy();
  }
});

test("W1: a head or a body that does not come ends its connection, and others are served meanwhile", async (t) => {
  const { port } = await openTestWebhooks(t, { limits: { headMs: 200, requestMs: 400 } });
  const slow = await Promise.all(
    [
      "POST /inject HTTP/1.1\r\nhost: a\r\nx-slow: ",
      `POST /inject HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
      "",
    ]
      .map(async (bytes) => {
        const socket = connect({ host: "127.0.0.1", port, ca: AUTHORITY.certificate, servername: SERVICE_NAME });
        socket.on("error", () => undefined); // on a busy machine its time may be over before its handshake is
        socket.once("secureConnect", () => socket.write(bytes));
        await new Promise((resolve) => socket.resume().once("close", resolve));
      })
      .map((closed) => Promise.resolve(closed)),
  );
  assert.equal(slow.length, 3);
  assert.equal((await ask(port, "/inject", { body: REVIEW })).status, 200);
});

test("W1: connections of one address have a limit, and those beyond it are counted", async (t) => {
  const { port, counters } = await openTestWebhooks(t, { limits: { connectionsPerSource: 2 } });
  const agents = [keptConnection(t), keptConnection(t)];
  for (const agent of agents) assert.equal((await ask(port, "/inject", { body: REVIEW, agent })).status, 200);
  await assert.rejects(ask(port, "/inject", { body: REVIEW }));
  assert.equal(counters.values.get("webhook.connections_refused"), 1);
  for (const agent of agents) agent.destroy();
  await eventually(() => counters.values.get("webhook.connections") === 0);
  assert.equal((await ask(port, "/inject", { body: REVIEW })).status, 200);
});

test("readiness says what is missing, and no when it stops; liveness stays", async (t) => {
  let missing: string | undefined = "the namespaces are not known yet";
  const { port, server } = await openTestWebhooks(t, { notReady: () => missing });
  const get = { method: "GET" };
  const no = await ask(port, "/readyz", get);
  assert.deepEqual([no.status, no.json.message], [503, "the namespaces are not known yet"]);
  assert.equal((await ask(port, "/healthz", get)).text, "ok");
  missing = undefined;
  assert.equal((await ask(port, "/readyz", get)).text, "ok");
  const agent = keptConnection(t);
  await ask(port, "/inject", { body: REVIEW, agent });
  server.drain();
  assert.equal((await ask(port, "/readyz", get)).status, 503);
  const last = await ask(port, "/inject", { body: REVIEW, agent });
  assert.deepEqual([last.status, last.headers.connection], [200, "close"]);
});

test("reviews are counted by what became of them", async (t) => {
  const { port, counters } = await openTestWebhooks(t);
  await ask(port, "/inject", { body: REVIEW });
  await ask(port, "/inject/rev/canary", { body: REVIEW });
  await ask(port, "/validate", { body: REVIEW });
  await ask(port, "/inject", { body: JSON.stringify(podReview({})) });
  const of = (outcome: string) => counters.values.get(`webhook.reviews ${outcome}`);
  assert.deepEqual([of("injected"), of("skipped"), of("allowed"), of("refused")], [1, 1, 1, 1]);
});

test("closing ends what is open, and frees the port", async (t) => {
  const { port, server } = await openTestWebhooks(t);
  const agent = keptConnection(t);
  await ask(port, "/inject", { body: REVIEW, agent });
  await server.close();
  await assert.rejects(ask(port, "/healthz", { method: "GET" }), { code: "ECONNREFUSED" });
});
