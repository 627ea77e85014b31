import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { describeMessage } from "@heddle/proto";
import { readExtAuthz, readExtAuthzRoute } from "./read-ext-authz.ts";

const grpc = { envoyGrpc: { clusterName: "authz" } };

function issues(config: Json): readonly string[] {
  const read = readExtAuthz(config);
  return read.ok ? [] : read.error.map(({ path, message }) => `${path}: ${message}`);
}

test("what is not set has Envoy's default", () => {
  const read = readExtAuthz({ grpcService: grpc, transportApiVersion: "V3" });
  assert.ok(read.ok);
  const { service, ...config } = read.value;
  assert.deepEqual(service, {
    type: "grpc",
    cluster: "authz",
    authority: "authz",
    timeoutMs: 200,
    initialMetadata: [],
  });
  assert.equal(config.statusOnError, 403);
  assert.equal(config.failureModeAllow, false);
  assert.equal(config.chargeClusterResponseStats, true);
  assert.equal(config.dynamicMetadata, true);
  assert.equal(config.allowedHeaders, undefined);
  assert.equal(config.mutationRules, undefined);
});

test("a service is asked by the name of its cluster, without what no authority may have, unless it is said otherwise", () => {
  const authorityOf = (envoyGrpc: Json): string => {
    const read = readExtAuthz({ grpcService: { envoyGrpc }, transportApiVersion: "V3" });
    assert.ok(read.ok && read.value.service.type === "grpc");
    return read.value.service.authority;
  };
  assert.equal(authorityOf({ clusterName: "outbound|80||authz.default" }), "outbound_80__authz.default");
  assert.equal(authorityOf({ clusterName: "outbound/80/authz.default" }), "outbound_80_authz.default");
  assert.equal(authorityOf({ clusterName: "authz-1.example:80" }), "authz-1.example:80");
  assert.equal(authorityOf({ clusterName: "a/b", authority: "authz" }), "authz");
});

test("an HTTP service has no version, and 0 s is no limit", () => {
  const uri = { uri: "http://authz", cluster: "authz", timeout: "0s" };
  const read = readExtAuthz({ httpService: { serverUri: uri, pathPrefix: "/check" } });
  assert.ok(read.ok && read.value.service.type === "http");
  assert.equal(read.value.service.timeoutMs, 0);
  assert.equal(read.value.service.pathPrefix, "/check");
});

test("every mistake is told with its path", () => {
  assert.deepEqual(issues({}), [": needs grpc_service or http_service"]);
  assert.deepEqual(issues({ grpcService: grpc }), []);
  const old = { grpcService: grpc, transportApiVersion: "V2" };
  assert.deepEqual(issues(old), ["transportApiVersion: found V2, allowed is V3"]);
  assert.deepEqual(issues({ grpcService: { googleGrpc: { targetUri: "a" } }, transportApiVersion: "V3" }), [
    "grpcService.googleGrpc: is not supported; a service is asked by envoy_grpc, which names its cluster",
  ]);
  const wrong = {
    httpService: {
      serverUri: { uri: "http://a" },
      pathPrefix: "check",
      authorizationRequest: { allowedHeaders: { patterns: [{ safeRegex: { regex: "(" } }] }, headersToAdd: [{}] },
    },
    allowedHeaders: { patterns: [] },
    statusOnError: { code: "Continue" },
    withRequestBody: { maxRequestBytes: 0 },
    filterEnabledMetadata: { filter: "a" },
    decoderHeaderMutationRules: { disallowExpression: { regex: "[" } },
  };
  assert.deepEqual(
    issues(wrong).map((issue) => issue.slice(0, issue.indexOf(":"))),
    [
      "httpService.serverUri",
      "httpService.pathPrefix",
      "httpService.authorizationRequest.headersToAdd[0].key",
      "httpService.authorizationRequest.allowedHeaders.patterns[0]",
      "allowedHeaders",
      "statusOnError",
      "withRequestBody.maxRequestBytes",
      "filterEnabledMetadata",
      "decoderHeaderMutationRules.disallowExpression",
    ],
  );
});

test("a route says who is asked there, with what, and with which body", () => {
  const settings = { contextExtensions: { tier: "gold" }, withRequestBody: { maxRequestBytes: 10 }, grpcService: grpc };
  const read = readExtAuthzRoute({ checkSettings: settings });
  assert.ok(read.ok);
  assert.deepEqual(read.value.contextExtensions, { tier: "gold" });
  assert.equal(read.value.body?.maxBytes, 10);
  assert.equal(read.value.service?.cluster, "authz");
  assert.equal(readExtAuthzRoute({ disabled: true }).ok, true);
  const both = { disableRequestBodyBuffering: true, withRequestBody: { maxRequestBytes: 1 } };
  assert.equal(readExtAuthzRoute({ checkSettings: both }).ok, false);
});

test("a status is known by each of its names", () => {
  const names = describeMessage("envoy.type.v3.HttpStatus").get("code")?.enumNames;
  assert.ok(names !== undefined && names.size > 50);
  for (const [code, name] of names) {
    if (code < 200) continue;
    const read = readExtAuthz({ grpcService: grpc, transportApiVersion: "V3", statusOnError: { code: name } });
    assert.ok(read.ok, name);
    assert.equal(read.value.statusOnError, code, name);
  }
});
