import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  decodeDeltaDiscoveryRequest,
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryRequest,
  decodeDiscoveryResponse,
  encodeDeltaDiscoveryRequest,
  encodeDeltaDiscoveryResponse,
  encodeDiscoveryRequest,
  encodeDiscoveryResponse,
  type Node,
} from "./discovery.ts";

const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

const node: Node = {
  id: "default/web/1",
  cluster: "web",
  metadata: { heddle: { labels: { app: "web" }, ports: [80, 443], canary: true, note: null } },
  locality: { region: "eu", zone: "a", subZone: "" },
  userAgentName: "heddle",
  userAgentVersion: "0.1.0",
  clientFeatures: ["envoy.lb.does_not_support_overprovisioning"],
};

test("a discovery request comes back as it was", () => {
  const request: DiscoveryRequest = {
    versionInfo: "7",
    node,
    resourceNames: ["a", "b"],
    typeUrl: CLUSTER,
    responseNonce: "n1",
    errorDetail: { code: 3, message: "name: is empty" },
  };
  assert.deepEqual(decodeDiscoveryRequest(encodeDiscoveryRequest(request)), request);
});

test("an empty discovery request takes no bytes and comes back empty", () => {
  const request: DiscoveryRequest = {
    versionInfo: "",
    node: undefined,
    resourceNames: [],
    typeUrl: "",
    responseNonce: "",
    errorDetail: undefined,
  };
  const bytes = encodeDiscoveryRequest(request);
  assert.deepEqual(decodeDiscoveryRequest(bytes), request);
});

test("a discovery response comes back as it was, its resources as views of the bytes", () => {
  const response: DiscoveryResponse = {
    versionInfo: "7",
    resources: [{ typeUrl: CLUSTER, value: Buffer.from([10, 1, 97]) }],
    typeUrl: CLUSTER,
    nonce: "n1",
    controlPlaneIdentifier: "cp-1",
  };
  const bytes = encodeDiscoveryResponse(response);
  const decoded = decodeDiscoveryResponse(bytes);
  assert.deepEqual(decoded, response);
  assert.equal(decoded.resources[0]?.value.buffer, bytes.buffer);
});

test("a delta discovery request comes back as it was", () => {
  const request: DeltaDiscoveryRequest = {
    node,
    typeUrl: CLUSTER,
    resourceNamesSubscribe: ["*", "a"],
    resourceNamesUnsubscribe: ["b"],
    initialResourceVersions: new Map([
      ["a", "1"],
      ["__proto__", "2"],
    ]),
    responseNonce: "n1",
    errorDetail: undefined,
  };
  assert.deepEqual(decodeDeltaDiscoveryRequest(encodeDeltaDiscoveryRequest(request)), request);
});

test("a delta discovery response comes back as it was", () => {
  const response: DeltaDiscoveryResponse = {
    systemVersionInfo: "9",
    resources: [
      { name: "a", aliases: ["x"], version: "1", resource: { typeUrl: CLUSTER, value: Buffer.from([10, 1, 97]) } },
      { name: "b", aliases: [], version: "2", resource: undefined, ttlMs: 1500.5 },
    ],
    typeUrl: CLUSTER,
    removedResources: ["c"],
    nonce: "n2",
    controlPlaneIdentifier: "",
  };
  assert.deepEqual(decodeDeltaDiscoveryResponse(encodeDeltaDiscoveryResponse(response)), response);
});

test("bytes that are no discovery request throw", () => {
  assert.throws(() => decodeDiscoveryRequest(Buffer.from([0x0a, 0xff])));
});

test("a field that we do not know is no failure", () => {
  const bytes = Buffer.concat([encodeDiscoveryRequest(emptyRequest), Buffer.from([0xf8, 0x3f, 0x01])]);
  assert.deepEqual(decodeDiscoveryRequest(bytes), emptyRequest);
});

const emptyRequest: DiscoveryRequest = {
  versionInfo: "",
  node: undefined,
  resourceNames: [],
  typeUrl: CLUSTER,
  responseNonce: "",
  errorDetail: undefined,
};
