import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeMessage, fromProtoJson, messageFromJson } from "@heddle/proto";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, typeUrlOfKind } from "./protocol/type-urls.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import { RestDiscovery } from "./rest-discovery.ts";
import type { EncodedResource, Snapshot } from "./snapshot.ts";
import { quietLog, quietMetrics, SettableSource } from "./testing.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";

test("statement 77: a poll is answered by the resources in proto3 JSON, with a version", () => {
  const s = server({ cluster: [cluster("a", 1), cluster("b", 1)] });
  const { status, json } = s.post("clusters");
  assert.equal(status, 200);
  assert.equal(json.typeUrl, CLUSTER_TYPE_URL);
  assert.deepEqual(json.controlPlane, { identifier: "replica-1" });
  assert.deepEqual(json.resources, [
    { "@type": CLUSTER_TYPE_URL, name: "a", connectTimeout: "1s" },
    { "@type": CLUSTER_TYPE_URL, name: "b", connectTimeout: "1s" },
  ]);
  assert.ok(fromProtoJson("envoy.service.discovery.v3.DiscoveryResponse", json).ok, "it is a DiscoveryResponse");
});

test("statement 77: a poll that names the current version is answered by 304, until something changes", () => {
  const s = server({ cluster: [cluster("a", 1)] });
  const { json } = s.post("clusters");
  const again = s.post("clusters", { version_info: json.versionInfo });
  assert.deepEqual([again.status, again.body], [304, ""]);
  s.set({ cluster: [cluster("a", 2)] });
  assert.equal(s.post("clusters", { version_info: json.versionInfo }).status, 200);
  s.set({ cluster: [cluster("a", 1)] });
  assert.equal(s.post("clusters", { version_info: json.versionInfo }).status, 304, "a version stands for content");
});

test("statement 77: the version stands for what was asked for, and nothing else", () => {
  const s = server({ endpoints: [endpoints("a", 1), endpoints("b", 1)] });
  const a = s.post("endpoints", { resource_names: ["a"] });
  assert.deepEqual(a.names, ["a"]);
  const both = { resource_names: ["b", "a"], version_info: a.json.versionInfo };
  assert.deepEqual(s.post("endpoints", both).names, ["b", "a"], "another name is another set");
  s.set({ endpoints: [endpoints("a", 1), endpoints("b", 2)] });
  assert.equal(s.post("endpoints", { resource_names: ["a"], version_info: a.json.versionInfo }).status, 304);
});

test("statement 77: every type has its path, and only listeners and clusters come without a name", () => {
  const s = server({});
  const paths = ["listeners", "routes", "clusters", "endpoints", "secrets", "runtime", "extension_configs"];
  for (const path of paths) assert.equal(s.post(path).status, 200, path);
  s.set({ endpoints: [endpoints("a", 1)], cluster: [cluster("c", 1)] });
  assert.deepEqual([s.post("endpoints").names, s.post("clusters").names], [[], ["c"]]);
  assert.equal(s.post("virtual_hosts").status, 404, "those are discovered by delta alone");
});

test("fields of a request are read in either case, and ones that we do not know are passed over", () => {
  const s = server({ endpoints: [endpoints("a", 1)] });
  for (const more of [{ resourceNames: ["a"] }, { resource_names: ["a"], resource_locators_of_2030: [{}] }]) {
    assert.deepEqual(s.post("endpoints", more).names, ["a"]);
  }
});

test("names that are not there are asked of the source", () => {
  const s = server({ cluster: [cluster("a", 1)] });
  s.post("clusters", { resource_names: ["a", "b"] });
  assert.deepEqual(s.source.requested, [`${CLUSTER_TYPE_URL} b`]);
  assert.equal(s.source.watchers, 0, "nothing is kept between two polls");
});

test("before there is any configuration the answer is 503 and not an empty world", () => {
  const source = new SettableSource();
  const rest = new RestDiscovery({ source, log: quietLog, metrics: quietMetrics, identifier: "" });
  const body = JSON.stringify({ node: { id: "n" } });
  const path = "/v3/discovery:clusters";
  assert.equal(rest.answer({ method: "POST", path, contentType: "application/json", body }).status, 503);
  assert.equal(source.watchers, 0);
});

test("what is no such request is refused with what was found and what is allowed", () => {
  const s = server({ cluster: [cluster("a", 1)] });
  const path = "/v3/discovery:clusters";
  const contentType = "application/json";
  const body = JSON.stringify({ node: { id: "n" } });
  const cases = [
    [{ method: "GET", path, contentType, body }, 405, /found GET, allowed: POST/],
    [{ method: "POST", path: "/v2/discovery:clusters", contentType, body }, 404, /found \/v2/],
    [{ method: "POST", path, contentType: "text/plain", body }, 415, /found content-type text\/plain/],
    [{ method: "POST", path, contentType: undefined, body }, 415, /none/],
    [{ method: "POST", path, contentType, body: "{" }, 400, /no JSON/],
    [{ method: "POST", path, contentType, body: "[]" }, 400, /no DiscoveryRequest/],
    [{ method: "POST", path, contentType, body: '{"resource_names":1}' }, 400, /resource_names/],
    [{ method: "POST", path, contentType, body: "{}" }, 400, /node\.id/],
    [
      { method: "POST", path, contentType, body: JSON.stringify({ node: { id: "n" }, type_url: ENDPOINTS_TYPE_URL }) },
      400,
      /has no .*ClusterLoadAssignment/,
    ],
    [
      { method: "POST", path, contentType, body: JSON.stringify({ node: { id: "x".repeat(5000) } }) },
      400,
      /longer than 4096/,
    ],
  ] as const;
  for (const [request, status, reason] of cases) {
    const answer = s.rest.answer(request);
    assert.equal(answer.status, status, answer.body);
    assert.match(answer.body, reason);
  }
});

test("a body nested without end is refused, and what fails within is an answer of 500", () => {
  const s = server({ cluster: [cluster("a", 1)] });
  const deep = `{"node":{"id":"n","metadata":{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}}}`;
  const answer = s.rest.answer({
    method: "POST",
    path: "/v3/discovery:clusters",
    contentType: "application/json",
    body: deep,
  });
  assert.deepEqual([answer.status, /nested deeper/.test(answer.body)], [400, true], answer.body.slice(0, 200));
  s.source.watch = () => {
    throw new Error("broken");
  };
  assert.equal(s.post("clusters").status, 500);
});

type World = { readonly [kind in ResourceKind]?: readonly EncodedResource[] };

function server(world: World) {
  const source = new SettableSource(snapshot(world));
  const rest = new RestDiscovery({ source, log: quietLog, metrics: quietMetrics, identifier: "replica-1" });
  return {
    source,
    rest,
    set: (next: World) => source.set(snapshot(next)),
    post(name: string, more: object = {}) {
      const { status, body } = rest.answer({
        method: "POST",
        path: `/v3/discovery:${name}`,
        contentType: "application/json; charset=utf-8",
        body: JSON.stringify({ node: { id: "default/web/1", cluster: "web" }, ...more }),
      });
      const json = status === 200 ? JSON.parse(body) : {};
      const names = (json.resources ?? []).map(
        (one: { name?: string; clusterName?: string }) => one.name ?? one.clusterName,
      );
      return { status, body, json, names };
    },
  };
}

function snapshot(world: World): Snapshot {
  const types = Object.entries(world).map(
    ([kind, list]) =>
      [typeUrlOfKind(kind as ResourceKind), new Map(list.map((one) => [one.name, one] as const))] as const,
  );
  return { resources: new Map(types) };
}

function cluster(name: string, seconds: number): EncodedResource {
  return encoded(CLUSTER, name, { name, connect_timeout: `${seconds}s` });
}

function endpoints(name: string, weight: number): EncodedResource {
  const policy = { overprovisioning_factor: weight };
  return encoded("envoy.config.endpoint.v3.ClusterLoadAssignment", name, { cluster_name: name, policy });
}

function encoded(typeName: string, name: string, json: object): EncodedResource {
  const message = messageFromJson(typeName, json);
  assert.ok(message.ok);
  return { name, version: JSON.stringify(json), bytes: encodeMessage(typeName, message.value) };
}
