import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { encodeMessage, fromProtoJson } from "@heddle/proto";
import { makeResourceTypes } from "../resource/resource-types.ts";
import { httpFilters } from "../resource/testing.ts";
import { testNode } from "../testing.ts";
import { deltaClient } from "./client-delta.ts";
import { ClientSession } from "./client-session.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "./wire.ts";

/* What becomes of real resources that are not as they should be: the NACK that goes back, with all its reasons. */

const types = makeResourceTypes({ httpFilters });
const ANY = "type.googleapis.com";
const FIELD_1023 = Buffer.from([0xf8, 0x3f, 0x01]);

test("statement 72: every one of Envoy's validation rules that a resource breaks is in the NACK, and none crashes", () => {
  const error = receive("cluster", {
    name: "c",
    connect_timeout: "0s",
    type: "EDS",
    lb_policy: "ROUND_ROBIN",
    circuit_breakers: { thresholds: [{ retry_budget: { budget_percent: { value: 200 } } }] },
    health_checks: [{ timeout: "1s", interval: "0s", tcp_health_check: {} }],
  }).error;
  for (const path of ["connect_timeout", "budget_percent", "interval", "unhealthy_threshold"]) {
    assert.match(error, new RegExp(`cluster "c": .*${path}`), path);
  }
});

test("statement 72: the same for routes: a rule deep inside is named by its path", () => {
  const error = receive("route-configuration", {
    name: "r",
    virtual_hosts: [{ name: "", domains: [], routes: [{ match: { prefix: "/" }, redirect: { response_code: 9 } }] }],
  }).error;
  for (const path of ["virtual_hosts\\[0\\].name", "virtual_hosts\\[0\\].domains", "response_code"]) {
    assert.match(error, new RegExp(path), path);
  }
});

test("a resource that its type throws at is refused, and the others of its response are taken", () => {
  const { endpoints } = types;
  const type = {
    ...endpoints,
    nameOf: (config: unknown) => endpoints.nameOf(config as never),
    decode(bytes: Uint8Array) {
      if (Buffer.from(bytes).includes("bad")) throw new Error("a mistake of ours");
      return endpoints.decode(bytes);
    },
  };
  const session = new ClientSession(testNode(), [type], deltaClient, new ManualClock(), () => undefined);
  session.openStream();
  session.subscribe("endpoints", new Set(["bad", "good"]));
  session.takeRequests();
  const resources = ["bad", "good"].map((name) => {
    const resource = { typeUrl: endpoints.typeUrl, value: encodeMessage(TYPE_NAMES.endpoints, { cluster_name: name }) };
    return { name, aliases: [], version: "1", ttlMs: undefined, resource };
  });
  const response = { typeUrl: endpoints.typeUrl, nonce: "1", resources, removedResources: [] };
  const outcome = session.receive(response as unknown as DeltaDiscoveryResponse);
  assert.deepEqual(outcome?.errors, ['endpoints "bad": it cannot be read: a mistake of ours']);
  assert.deepEqual([...outcome.update.changed.keys()], ["good"]);
  session.close();
});

test("statement 71: an unknown type where one is needed is a NACK that names it and its place", () => {
  const typed_config = { type_url: `${ANY}/com.example.NoSuchFilter`, value: Buffer.alloc(0) };
  const bytes = encodeMessage(TYPE_NAMES.listener, {
    name: "l",
    address: { socket_address: { address: "127.0.0.1", port_value: 1 } },
    filter_chains: [{ filters: [{ name: "f", typed_config }] }],
  });
  const { error } = receiveBytes("listener", "l", bytes);
  assert.match(error, /listener "l": filter_chains\[0\]\.filters\[0\].*com\.example\.NoSuchFilter/);
});

test("statement 71: an unknown field is accepted and reported by its number", () => {
  const { error, unhonoured } = receive("endpoints", { cluster_name: "c" }, FIELD_1023);
  assert.equal(error, "");
  assert.ok(
    unhonoured.some(({ path }) => path.includes("1023")),
    JSON.stringify(unhonoured),
  );
});

test("statement 71: an unknown field is refused where it could change who may connect", () => {
  // A TLS context with a field of the future: what it would ask for, nobody knows.
  const tls = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
  const value = Buffer.concat([encodeMessage(tls, { sni: "a" }), FIELD_1023]);
  const bytes = encodeMessage(TYPE_NAMES.cluster, {
    name: "c",
    type: 3, // EDS
    eds_cluster_config: { eds_config: { ads: {} } },
    transport_socket: { name: "tls", typed_config: { type_url: `${ANY}/${tls}`, value } },
  });
  const { error } = receiveBytes("cluster", "c", bytes);
  assert.match(error, /cluster "c": .*<1023>/);
});

type Kind = "cluster" | "listener" | "route-configuration" | "endpoints";

const TYPE_NAMES: Readonly<Record<Kind, string>> = {
  cluster: "envoy.config.cluster.v3.Cluster",
  listener: "envoy.config.listener.v3.Listener",
  "route-configuration": "envoy.config.route.v3.RouteConfiguration",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
};

function receive(kind: Kind, json: Readonly<Record<string, unknown>>, more: Uint8Array = Buffer.alloc(0)) {
  const bytes = fromProtoJson(TYPE_NAMES[kind], json);
  assert.ok(bytes.ok, JSON.stringify(bytes));
  return receiveBytes(kind, String(json["name"] ?? json["cluster_name"]), Buffer.concat([bytes.value, more]));
}

/** The error of the verdict, empty for an ACK, and what was reported of what was taken. */
function receiveBytes(kind: Kind, name: string, value: Uint8Array) {
  const clock = new ManualClock();
  const session = new ClientSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
    testNode(),
    [types[kind]],
    deltaClient,
    clock,
    () => undefined,
  );
  session.openStream();
  session.subscribe(kind, new Set([name]));
  session.takeRequests();
  session.receive({
    systemVersionInfo: "",
    nonce: "n",
    typeUrl: types[kind].typeUrl,
    resources: [{ name, aliases: [], version: "1", resource: { typeUrl: types[kind].typeUrl, value } }],
    removedResources: [],
    controlPlaneIdentifier: "",
  });
  const [verdict] = session.takeRequests();
  const unhonoured = session.statuses()[0]?.unhonoured ?? [];
  session.close();
  assert.equal(verdict?.responseNonce, "n");
  return { error: verdict?.errorDetail?.message ?? "", unhonoured };
}
