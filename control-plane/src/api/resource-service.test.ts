import assert from "node:assert/strict";
import { test } from "node:test";
import { service } from "../source/source-contract.ts";
import { ANYBODY, type Caller } from "./access.ts";
import { storeKeyOf } from "./resource-key.ts";
import { encodeStoredValue } from "./stored-value.ts";
import { ApiFixture, CLUSTER, cluster, diagnosticLines, outcomeLines, valueOfResult } from "./testing.ts";
import type { WatchEvent } from "./wire.ts";

const ADMIN: Caller = { name: "root", role: "admin", groups: undefined, namespaces: undefined };
const READER: Caller = { name: "watcher", role: "read", groups: undefined, namespaces: undefined };
const WEB: Caller = { name: "web-team", role: "write", groups: ["web"], namespaces: undefined };

test("a batch is stored in one revision, and what means the same is not stored again", async () => {
  const api = await new ApiFixture().start();
  assert.deepEqual(await api.applied(`${cluster("a")}---\n${service("s")}`), [
    "created Cluster a 1",
    "created Service default s 1",
  ]);
  const camel = `"@type": ${CLUSTER}\nname: a\nloadAssignment: { clusterName: x }\nconnectTimeout: 1s\n`;
  assert.deepEqual(await api.applied(`${camel}---\n${service("s")}---\n${cluster("b")}`), [
    "unchanged Cluster a 1",
    "unchanged Service default s 1",
    "created Cluster b 2",
  ]);
  assert.deepEqual(await api.applied(cluster("a", 2)), ["changed Cluster a 3"]);
  assert.equal(api.store.commits, 3);
  const resource = valueOfResult(api.service.get(ANYBODY, { type: "cluster", name: "a" }));
  assert.deepEqual(
    [resource.version, resource.createdVersion, (resource.resource as { name: string }).name],
    [3, 1, "a"],
  );
  assert.deepEqual(await api.applied(camel), ["changed Cluster a 4"]);
  assert.deepEqual(await api.applied(camel), ["unchanged Cluster a 4"]);
});

test("a batch with one fault stores nothing, and all its faults are told with document, place and path", async () => {
  const api = await new ApiFixture().start();
  const error = await api.refused(
    `${service("s")}---\n${cluster("a", 1, "lb_polcy: X\n")}---\nresources:\n- { "@type": "${CLUSTER}", name: b, connect_timeout: -1s }\n`,
  );
  assert.equal(error.code, "INVALID_ARGUMENT");
  assert.deepEqual(
    diagnosticLines(error).map((line) => line.replace(/: (found|is|must).*/, "")),
    ["error test.yaml:10:1 (1): lb_polcy", "error test.yaml:13:78 (2): resources[0].connect_timeout"],
  );
  assert.deepEqual([api.store.commits, api.store.revision], [0, 0]);
  const syntax = await api.refused("a: [");
  assert.match(diagnosticLines(syntax)[0] ?? "", /^error test\.yaml:\d+:\d+ \(0\)/);
  assert.equal((await api.refused("kind: Pod\napiVersion: v1\n")).message, "nothing that was sent is a resource");
});

test("a batch may not take a name that a file has, and may not make one twice", async () => {
  const api = await new ApiFixture(service("orders")).start();
  assert.deepEqual(diagnosticLines(await api.refused(`${service("new")}---\n${service("orders")}`)), [
    "error test.yaml:6:1 (1): : the service default/orders stands also in folder/mesh.yaml:1, which serves; remove one of them",
  ]);
  const twice = await api.service.apply(ANYBODY, {
    manifests: [
      { source: "a.yaml", text: service("x") },
      { source: "b.yaml", text: service("x", 81) },
    ],
  });
  assert.ok(!twice.ok);
  assert.deepEqual(diagnosticLines(twice.error), [
    "error b.yaml:1:1 (0): : the same resource stands also in a.yaml:1; remove one of them",
  ]);
  assert.match(
    diagnosticLines(await api.refused(cluster("outbound/80/orders.default")))[0] ?? "",
    /error test\.yaml:1:1 \(0\): : "outbound\/80\/orders\.default" is the name of what is generated of the Service "orders" in folder\/mesh\.yaml:1/,
  );
  assert.equal(api.store.commits, 0);
});

test("what was wrong before is nobody's fault, and what is only a warning is told", async () => {
  const api = await new ApiFixture(service("orders")).start();
  api.store.put({
    key: storeKeyOf({ type: "Service", namespace: "default", name: "orders", nodeCluster: "" }),
    value: bytesOf("orders"),
  });
  assert.match(api.sources.between[0]?.message ?? "", /stands also in/);
  const route =
    'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r }\nspec:\n  parentRefs: [{ kind: Service, group: "", name: nobody }]\n';
  const answer = valueOfResult(await api.apply(`${route}---\n${cluster("c", 1, "track_timeout_budgets: true\n")}`));
  assert.deepEqual(outcomeLines(answer), ["created HTTPRoute default r 2", "created Cluster c 2"]);
  const lines = diagnosticLines({ diagnostics: answer.warnings });
  assert.match(lines[0] ?? "", /^warning test\.yaml:11:1 \(1\): track_timeout_budgets: /);
  assert.match(lines[1] ?? "", /^warning test\.yaml:5:16 \(0\): spec\.parentRefs\[0\]: there is no Service "nobody"/);
});

test("versions that are expected are held, each of a batch, and 0 is what does not exist", async () => {
  const api = await new ApiFixture().start();
  await api.applied(cluster("a"));
  await api.applied(cluster("b"));
  const key = (name: string) => ({ type: "cluster", name });
  const stale = await api.refused(`${cluster("a", 2)}---\n${cluster("b", 2)}`, {
    expected: [
      { key: key("a"), version: 1 },
      { key: key("b"), version: 1 },
    ],
  });
  assert.deepEqual([stale.code, stale.message], ["ABORTED", "cluster/b has version 2, expected 1"]);
  assert.equal(
    (await api.refused(cluster("a", 2), { expectedVersion: 0 })).message,
    "cluster/a has version 1, expected 0",
  );
  assert.equal(
    (await api.refused(cluster("c"), { expectedVersion: 1 })).message,
    "cluster/c does not exist, expected 1",
  );
  assert.deepEqual(await api.applied(cluster("c"), { expectedVersion: 0 }), ["created Cluster c 3"]);
  assert.deepEqual(await api.applied(cluster("a", 2), { expected: [{ key: key("a"), version: 1 }] }), [
    "changed Cluster a 4",
  ]);
  assert.match(
    (await api.refused(cluster("a"), { expected: [{ key: key("z"), version: 1 }] })).message,
    /cluster\/z is not in the batch/,
  );
  // What did not change is held to what was expected all the same.
  assert.equal((await api.refused(cluster("c"), { expectedVersion: 1 })).code, "ABORTED");
});

test("a dry run says what would happen, with what was there before, and stores nothing", async () => {
  const api = await new ApiFixture().start();
  await api.applied(cluster("a"));
  const answer = valueOfResult(
    await api.apply(`${cluster("a", 2)}---\n${cluster("b")}`, { dryRun: true, includeContent: true }),
  );
  assert.deepEqual(outcomeLines(answer), ["changed Cluster a 1", "created Cluster b 0"]);
  const [changed, created] = answer.outcomes as unknown as {
    before?: { connect_timeout: string };
    after: { connect_timeout: string };
  }[];
  assert.deepEqual(
    [changed?.before?.connect_timeout, changed?.after.connect_timeout, created?.before],
    ["1s", "2s", undefined],
  );
  assert.deepEqual([api.store.commits, api.store.revision], [1, 1]);
  assert.equal((await api.refused("a: [", { dryRun: true })).code, "INVALID_ARGUMENT");
});

test("one name may be for all nodes and for some; a Service may not", async () => {
  const api = await new ApiFixture().start();
  assert.deepEqual(await api.applied(cluster("a")), ["created Cluster a 1"]);
  assert.deepEqual(await api.applied(cluster("a", 2), { nodeCluster: "web" }), ["created Cluster a web 2"]);
  const itself = `for: { node.cluster: orders }\nresources:\n- { "@type": "${CLUSTER}", name: a, connect_timeout: 3s }\n`;
  assert.deepEqual(await api.applied(itself), ["created Cluster a orders 3"]);
  assert.match(
    diagnosticLines(await api.refused(itself, { nodeCluster: "web" }))[0] ?? "",
    /for: found "orders", allowed: "web"/,
  );
  assert.match(diagnosticLines(await api.refused(service("s"), { nodeCluster: "web" }))[0] ?? "", /only xDS resources/);
  assert.deepEqual(
    outcomeLines(valueOfResult(await api.service.delete(ANYBODY, { keys: [{ type: "cluster", name: "a" }] }))),
    ["deleted Cluster a 0"],
  );
  const left = valueOfResult(api.service.list(ANYBODY, { type: "cluster" })).resources;
  assert.deepEqual(
    left.map(({ key }) => key.nodeCluster),
    ["orders", "web"],
  );
});

test("a resource may come in binary, and comes back so", async () => {
  const api = await new ApiFixture().start();
  const value = Buffer.from([10, 1, 0x62]).toString("base64"); // name: "b"
  const manifests = [{ source: "b.pb", binary: { typeUrl: CLUSTER, value } }];
  assert.deepEqual(outcomeLines(valueOfResult(await api.service.apply(ANYBODY, { manifests }))), [
    "created Cluster b 1",
  ]);
  const { binary, resource } = valueOfResult(api.service.get(ANYBODY, { type: "cluster", name: "b" }));
  assert.deepEqual(
    [binary, resource],
    [
      { typeUrl: CLUSTER, value },
      { "@type": CLUSTER, name: "b" },
    ],
  );
  assert.deepEqual(await api.applied(`"@type": ${CLUSTER}\nname: b\n`), ["unchanged Cluster b 1"]);
  for (const [typeUrl, wrong] of [
    [CLUSTER, "//8="],
    [CLUSTER, ""],
    ["type.googleapis.com/x.Y", value],
  ] as const) {
    const answer = await api.service.apply(ANYBODY, {
      manifests: [{ source: "b.pb", binary: { typeUrl, value: wrong } }],
    });
    assert.ok(!answer.ok && answer.error.code === "INVALID_ARGUMENT", wrong);
  }
});

test("deletes are all or nothing, say what is missing, and hold versions", async () => {
  const api = await new ApiFixture().start();
  await api.applied(`${cluster("a")}---\n${cluster("b")}`);
  const keys = [
    { type: "cluster", name: "a" },
    { type: "cluster", name: "z" },
  ];
  const missing = await api.service.delete(ANYBODY, { keys });
  assert.ok(!missing.ok);
  assert.deepEqual([missing.error.code, missing.error.message], ["NOT_FOUND", "there is no cluster/z"]);
  const stale = await api.service.delete(ANYBODY, {
    keys,
    ignoreMissing: true,
    expected: [{ key: { type: "cluster", name: "a" }, version: 7 }],
  });
  assert.equal(stale.ok || stale.error.code, "ABORTED");
  assert.deepEqual(
    outcomeLines(valueOfResult(await api.service.delete(ANYBODY, { keys, ignoreMissing: true, dryRun: true }))),
    ["deleted Cluster a 1", "unchanged Cluster z 0"],
  );
  assert.equal(api.store.revision, 1);
  await api.service.delete(ANYBODY, { keys, ignoreMissing: true });
  assert.deepEqual(
    valueOfResult(api.service.list(ANYBODY, {})).resources.map(({ key }) => key.name),
    ["b"],
  );
});

test("what another replica commits in between is seen: the batch is judged anew, or refused if a version was expected", async () => {
  const api = await new ApiFixture().start();
  await api.applied(cluster("a"));
  let once = true;
  api.store.beforeCommit = () => {
    if (once) api.store.put({ key: xdsKey("a"), value: clusterBytes("a", 9) });
    once = false;
  };
  assert.deepEqual(await api.applied(cluster("a", 3)), ["changed Cluster a 3"]);
  once = true;
  assert.equal(
    (await api.refused(cluster("a", 4), { expectedVersion: 3 })).message,
    "cluster/a has version 4, expected 3",
  );
  once = true;
  api.store.beforeCommit = () => {
    if (once) api.store.put({ key: xdsKey("b"), value: undefined }, { key: xdsKey("a"), value: clusterBytes("a", 5) });
    once = false;
  };
  assert.deepEqual(await api.applied(cluster("a", 5)), ["unchanged Cluster a 5"]);
});

test("nothing is written before everything has been read; a store in trouble is asked all the same, and heals", async () => {
  const api = new ApiFixture();
  assert.deepEqual([(await api.refused(cluster("a"))).code, api.store.commits], ["UNAVAILABLE", 0]);
  assert.equal(api.service.list(ANYBODY, {}).ok, false);
  await api.store.start();
  assert.match((await api.refused(cluster("a"))).message, /has not been read yet/);
  await api.start();
  api.store.unavailable = "the disk is full";
  assert.deepEqual([(await api.refused(cluster("a"))).message], ["the disk is full"]);
  api.store.setTrouble("the disk was full");
  assert.equal(api.service.list(ANYBODY, {}).ok, true);
  assert.deepEqual([(await api.refused(cluster("a"))).message], ["the disk is full"]);
  api.store.unavailable = undefined;
  assert.deepEqual(await api.applied(cluster("a")), ["created Cluster a 1"]);
});

test("roles and groups say who may write what and read what", async () => {
  const api = await new ApiFixture().start();
  await api.applied(`${cluster("all")}---\n${service("s")}`);
  await api.applied(cluster("for-orders"), { nodeCluster: "orders" });
  const applyAs = async (caller: Caller, text: string, nodeCluster = "") => {
    const answer = await api.service.apply(caller, { manifests: [{ source: "t", text }], nodeCluster });
    return answer.ok ? "ok" : `${answer.error.code} ${answer.error.message}`;
  };
  assert.equal(await applyAs(READER, cluster("a")), 'PERMISSION_DENIED "watcher" may read alone');
  assert.equal(await applyAs(WEB, cluster("a")), 'PERMISSION_DENIED "web-team" may not write cluster/a');
  assert.equal(await applyAs(WEB, service("s", 81)), 'PERMISSION_DENIED "web-team" may not write service/default/s');
  assert.equal(
    await applyAs(WEB, cluster("a"), "orders"),
    'PERMISSION_DENIED "web-team" may not write cluster/a for node.cluster=orders',
  );
  assert.equal(await applyAs(WEB, cluster("a"), "web"), "ok");
  assert.equal(await applyAs({ ...WEB, groups: undefined, namespaces: ["default"] }, service("t")), "ok");
  assert.deepEqual(
    valueOfResult(api.service.list(WEB, {})).resources.map(({ key }) => key.name),
    ["s", "t", "a", "all"],
  );
  const hidden = api.service.get(WEB, { type: "cluster", name: "for-orders", nodeCluster: "orders" });
  assert.equal(hidden.ok || hidden.error.code, "PERMISSION_DENIED");
  const gone = await api.service.delete(READER, { keys: [{ type: "cluster", name: "nobody" }] });
  assert.equal(gone.ok || gone.error.code, "PERMISSION_DENIED", "whether it exists is not told");
  assert.ok(
    api.lines.some((line) => line.includes('"by":"web-team"') && line.includes("cluster/a for node.cluster=web")),
  );
  assert.ok(api.lines.some((line) => line.startsWith("resources not written") && line.includes("PERMISSION_DENIED")));
});

test("secrets are shown to an admin who asks, to nobody else, and what is shown in their place is not taken back", async () => {
  const api = await new ApiFixture().start();
  const secret = cluster(
    "tls",
    1,
    `transport_socket:\n  name: tls\n  typed_config:\n    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n    common_tls_context:\n      tls_certificates: [{ private_key: { inline_string: HUSH } }]\n`,
  );
  const answer = valueOfResult(await api.apply(secret, { includeContent: true }));
  const key = { type: "cluster", name: "tls" };
  const shown = valueOfResult(api.service.get(ANYBODY, key));
  const watch = valueOfResult(api.service.watch(ADMIN, {}, undefined, () => {}));
  for (const what of [answer, shown, valueOfResult(api.service.list(ANYBODY, {})), watch.take(9), api.lines])
    assert.ok(!JSON.stringify(what).includes("HUSH"));
  watch.close();
  assert.ok(JSON.stringify(valueOfResult(api.service.get(ADMIN, key, true))).includes("HUSH"));
  for (const caller of [ANYBODY, WEB]) {
    const denied = api.service.get(caller, key, true);
    assert.equal(denied.ok || denied.error.code, "PERMISSION_DENIED");
  }
  const back = await api.refused(JSON.stringify(shown.resource));
  assert.match(diagnosticLines(back)[0] ?? "", /private_key\.inline_string: found "\[redacted\]"/);
});

test("no name breaks out of a line, and no manager holds what could", async () => {
  const api = await new ApiFixture().start();
  const name = "a\nb: c\u001b[31m\u202e\u2028";
  await api.applied(JSON.stringify({ "@type": CLUSTER, name, load_assignment: { cluster_name: "x" } }));
  const missing = await api.service.delete(ANYBODY, { keys: [{ type: "cluster", name: `${name}x` }] });
  assert.equal(missing.ok || missing.error.message, "there is no cluster/a\\u000ab: c\\u001b[31m\\u202e\\u2028x");
  assert.equal((await api.refused(cluster("b"), { manager: "x\ninjected: true" })).code, "INVALID_ARGUMENT");
  assert.equal((await api.apply(cluster("b"), { manager: "argo-cd v2.1 (prod)" })).ok, true);
});

test("a wrapped resource is stored with its time to live, and another one is a change", async () => {
  const api = await new ApiFixture().start();
  const wrapped = (ttl: string) =>
    JSON.stringify({
      "@type": "type.googleapis.com/envoy.service.discovery.v3.Resource",
      name: "a",
      ttl,
      resource: { "@type": CLUSTER, name: "a" },
    });
  assert.deepEqual(await api.applied(wrapped("5s")), ["created Cluster a 1"]);
  assert.deepEqual(await api.applied(wrapped("5.0s")), ["unchanged Cluster a 1"]);
  assert.deepEqual(await api.applied(wrapped("6s")), ["changed Cluster a 2"]);
  assert.equal(api.sources.world?.rawResources[0]?.wrapping?.ttlMs, 6000);
});

test("what another writer has put into the store is shown whatever time it says", async () => {
  const api = await new ApiFixture().start();
  const key = { type: "Service", namespace: "default", name: "s", nodeCluster: "" };
  const value = { format: 1, json: {}, updatedAtMs: 1e300 };
  api.store.put({ key: storeKeyOf(key), value: Buffer.from(JSON.stringify(value)) });
  assert.equal(valueOfResult(api.service.get(ANYBODY, key)).updated, "1970-01-01T00:00:00.000Z");
  assert.equal(typeof api.service.inspect(), "object");
});

test("writes that wait leave the others of the process their turns", async () => {
  const api = await new ApiFixture().start();
  const order: string[] = [];
  const dryRuns = [1, 2, 3].map((n) => api.apply(cluster("a"), { dryRun: true }).then(() => order.push(`write ${n}`)));
  for (const n of [1, 2]) setImmediate(() => order.push(`other ${n}`));
  await Promise.all(dryRuns);
  assert.deepEqual(order.slice(0, 3), ["write 1", "other 1", "other 2"]);
});

test("lists select by type, namespace, prefix and group, and come in pages", async () => {
  const api = await new ApiFixture().start();
  const texts = Array.from({ length: 5 }, (_, index) => cluster(`c${index}`));
  await api.applied([...texts, service("c9")].join("---\n"));
  const names: string[] = [];
  let pageToken = "";
  do {
    const page = valueOfResult(api.service.list(ANYBODY, { type: "cluster", pageSize: 2, pageToken }));
    assert.equal(page.revision, 1);
    names.push(...page.resources.map(({ key }) => key.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(names, ["c0", "c1", "c2", "c3", "c4"]);
  const listed = (selector: object) =>
    valueOfResult(api.service.list(ANYBODY, selector)).resources.map(({ key }) => key.name);
  assert.deepEqual(listed({ namePrefix: "c3" }), ["c3"]);
  assert.deepEqual(listed({ namespace: "default" }), ["c9"]);
  assert.deepEqual(listed({ nodeCluster: "web" }), []);
  assert.equal(api.service.list(ANYBODY, { type: "clusterr" }).ok, false);
});

test("a watch tells what there is, then each change; one that comes back gets what it missed, or everything anew", async () => {
  const api = await new ApiFixture().start();
  await api.applied(`${cluster("a")}---\n${service("s")}`);
  let ready = 0;
  const watch = valueOfResult(api.service.watch(ANYBODY, { type: "cluster" }, undefined, () => (ready += 1)));
  assert.deepEqual(lines(watch.take(100)), ["PUT 1 a", "SYNCED 1"]);
  await api.applied(`${cluster("a", 2)}---\n${cluster("b")}`);
  await api.applied(service("t"));
  await api.service.delete(ANYBODY, { keys: [{ type: "cluster", name: "a" }] });
  assert.ok(ready >= 3);
  assert.deepEqual(lines(watch.take(1)), ["PUT 2 a", "PUT 2 b"], "half a revision is not told");
  assert.deepEqual(lines(watch.take(1)), ["DELETE 4 a"]);
  assert.deepEqual([lines(watch.take(1)), lines([watch.synced])], [[], ["SYNCED 4"]]);
  watch.close();
  const resumed = valueOfResult(api.service.watch(ANYBODY, { type: "cluster" }, 2, () => {}));
  assert.deepEqual(lines(resumed.take(100)), ["DELETE 4 a"]);
  resumed.close();
  // More in one step than is kept.
  api.store.put(...Array.from({ length: 4200 }, () => ({ key: xdsKey("b"), value: clusterBytes("b", 9) })));
  for (const [from, why] of [
    [0, "a revision before what is known"],
    [99, "a revision of another store"],
  ] as const) {
    const behind = valueOfResult(api.service.watch(ANYBODY, { type: "cluster" }, from, () => {}));
    assert.deepEqual(lines(behind.take(100)), ["RESYNC 5", "PUT 5 b", "SYNCED 5"], why);
    behind.close();
    assert.deepEqual(behind.take(1), []);
  }
});

test("whoever watches a store that is set back is told everything anew", async () => {
  const api = await new ApiFixture().start();
  for (const timeout of [1, 2, 3]) await api.applied(cluster("a", timeout));
  const watch = valueOfResult(api.service.watch(ANYBODY, {}, 3, () => {}));
  assert.deepEqual(watch.take(100), []);
  api.store.revision = 0;
  api.store.put({ key: xdsKey("b"), value: clusterBytes("b", 1) });
  assert.deepEqual(lines(watch.take(100)), ["RESYNC 1", "PUT 3 a", "PUT 1 b", "SYNCED 1"]);
  watch.close();
});

test("a watch finds what it selects behind however much it does not, and takes no more than a MiB for a reader that waits", async () => {
  const api = await new ApiFixture().start();
  const others = Array.from({ length: 250 }, (_, index) => ({ key: xdsKey(`a${index}`), value: clusterBytes("a", 1) }));
  const mine = Array.from({ length: 8 }, (_, index) => ({ key: xdsKey(`z${index}`), value: Buffer.alloc(400_000) }));
  api.store.put(...others, ...mine);
  const watch = valueOfResult(api.service.watch(ANYBODY, { namePrefix: "z" }, undefined, () => {}));
  assert.deepEqual(lines(watch.take(100)), ["PUT 1 z0", "PUT 1 z1", "PUT 1 z2"]);
  assert.equal(watch.take(100).length, 3);
  assert.deepEqual(lines(watch.take(100)), ["PUT 1 z6", "PUT 1 z7", "SYNCED 1"]);
  for (const change of mine) api.store.put(change);
  assert.equal(watch.take(100).length, 3);
  watch.close();
});

test("who writes too much at once is told when to come again, and so is who watches too often", async () => {
  const api = await new ApiFixture().start();
  const codes = new Set<string>();
  for (let index = 0; index < 201; index += 1) {
    const answer = await api.apply(cluster("a"), { dryRun: true });
    if (!answer.ok) codes.add(`${answer.error.code} ${answer.error.retryAfterS}`);
  }
  assert.deepEqual([...codes], ["RESOURCE_EXHAUSTED 1"]);
  api.clock.advance(1000);
  assert.equal((await api.apply(cluster("a"))).ok, true);
  const open = Array.from({ length: 201 }, () => api.service.watch(READER, {}, undefined, () => {}));
  assert.equal(open.filter(({ ok }) => !ok).length, 1);
  for (const one of open) if (one.ok) one.value.close();
  assert.equal(api.service.watch(READER, {}, undefined, () => {}).ok, true);
  const many = Array.from({ length: 1001 }, (_, index) => cluster(`m${index}`)).join("---\n");
  assert.match((await api.refused(`# ${"x".repeat(1024 * 1024)}`)).message, /bytes of YAML, allowed are 1048576/);
  const flow = `{ "@type": ${CLUSTER}, name: a, ${" ".repeat(1024 * 1024)} }`;
  assert.match((await api.refused(flow)).message, /bytes of YAML/);
  const endpoints = { "@type": CLUSTER, name: "json", load_assignment: { cluster_name: " ".repeat(1024 * 1024) } };
  assert.equal((await api.apply(JSON.stringify(endpoints))).ok, true);
  assert.equal((await api.refused(many)).message, "found 1001 resources, allowed are 1000 in one batch");
});

function lines(events: readonly WatchEvent[]): readonly string[] {
  return events.map((event) =>
    [event.type, event.revision, ...("resource" in event ? [event.resource.key.name] : [])].join(" "),
  );
}

function xdsKey(name: string): string {
  return storeKeyOf({ type: "envoy.config.cluster.v3.Cluster", namespace: "", name, nodeCluster: "" });
}

function clusterBytes(name: string, timeout: number): Uint8Array {
  const json = { "@type": CLUSTER, name, connect_timeout: `${timeout}s`, load_assignment: { cluster_name: "x" } };
  return stored(json);
}

function bytesOf(name: string): Uint8Array {
  return stored({ apiVersion: "v1", kind: "Service", metadata: { name }, spec: { ports: [{ port: 80 }] } });
}

function stored(json: { readonly [key: string]: unknown }): Uint8Array {
  return encodeStoredValue({
    content: { type: "json", json: json as never },
    override: false,
    author: "",
    manager: "",
    updatedAtMs: 0,
  });
}
