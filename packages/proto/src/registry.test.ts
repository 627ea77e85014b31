import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs/light.js";
import { describeMessage, isKnownType } from "./describe.ts";
import { coreDescriptor } from "./gen/core.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";
import { honouredDescriptor } from "./gen/honoured.ts";
import { decodeMessage, encodeMessage, fieldOf, toNumber } from "./message.ts";
import { findType, typeNameOf, typeOf, typeUrlOf } from "./registry.ts";

test("types of all descriptors are found by their full name", () => {
  assert.ok(findType("envoy.config.cluster.v3.Cluster"));
  assert.ok(findType("envoy.extensions.filters.http.rbac.v3.RBAC"));
  assert.ok(findType("envoy.extensions.filters.http.fault.v3.HTTPFault"));
  assert.ok(findType("heddle.report.v1.SidecarReport"));
});

test("a name that is not the full name finds nothing", () => {
  for (const name of [
    "Cluster",
    "v3.Cluster",
    ".envoy.config.cluster.v3.Cluster",
    "envoy.config",
    "envoy",
    "",
    "toString",
  ]) {
    assert.equal(isKnownType(name), false, name);
  }
  assert.throws(() => typeOf("v3.Cluster"), /not compiled/);
});

test("what is loaded later is of the packages that the registry looks for there", () => {
  assert.deepEqual(Object.keys(JSON.parse(honouredDescriptor).nested), ["envoy", "google", "xds"]);
  assert.deepEqual(Object.keys(JSON.parse(extensionsDescriptor).nested), ["envoy", "xds"]);
});

test("extensions refer to the same types as core", () => {
  const core = describeMessage("envoy.config.listener.v3.FilterChain").get("transport_socket");
  const extension = describeMessage(
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
  );
  assert.equal(extension.get("transport_socket")?.messageType, core?.messageType);
});

test("type URLs and names are each other's inverse", () => {
  assert.equal(typeNameOf(typeUrlOf("a.b.C")), "a.b.C");
  assert.equal(typeNameOf("a.b.C"), "a.b.C");
});

test("every field of the descriptors resolves, each loaded after those before it", () => {
  const root = protobuf.Root.fromJSON(JSON.parse(coreDescriptor));
  for (const descriptor of [honouredDescriptor, extensionsDescriptor])
    root.addJSON(JSON.parse(descriptor).nested).resolveAll();
  let fields = 0;
  const visit = (namespace: protobuf.NamespaceBase): void => {
    for (const object of namespace.nestedArray) {
      if (object instanceof protobuf.Namespace || object instanceof protobuf.Type) visit(object);
      if (!(object instanceof protobuf.Type)) continue;
      for (const field of object.fieldsArray) {
        fields++;
        const isScalar = Object.hasOwn(protobuf.types.basic, field.type);
        assert.ok(isScalar || field.resolvedType !== null, field.fullName);
      }
    }
  };
  visit(root);
  assert.ok(fields > 3000, `${fields} fields`);
});

test("a description names what a field holds", () => {
  const cluster = describeMessage("envoy.config.cluster.v3.Cluster");
  assert.deepEqual(cluster.get("health_checks"), {
    name: "health_checks",
    label: "repeated",
    messageType: "envoy.config.core.v3.HealthCheck",
    enumNames: undefined,
    deprecated: false,
  });
  assert.equal(cluster.get("typed_extension_protocol_options")?.label, "map");
  assert.equal(cluster.get("type")?.enumNames?.get(3), "EDS");
  assert.equal(cluster.get("max_requests_per_connection")?.deprecated, true);
});

test("what is not set is not there, whatever protobufjs fills in", () => {
  const decoded = decodeMessage("envoy.config.cluster.v3.Cluster", new Uint8Array());
  assert.ok(decoded.ok);
  for (const name of ["name", "type", "health_checks", "connect_timeout"]) {
    assert.equal(fieldOf(decoded.value, name), undefined, name);
  }
});

test("unknown fields are kept, 64-bit integers keep their value", () => {
  const bytes = encodeMessage("heddle.report.v1.Health", { requests: "18446744073709551615" });
  const decoded = decodeMessage("heddle.report.v1.Health", Buffer.concat([bytes, Buffer.from([0xf8, 0x3f, 0x01])]));
  assert.ok(decoded.ok);
  assert.equal(String(fieldOf(decoded.value, "requests")), "18446744073709551615");
  assert.equal(toNumber(fieldOf(decoded.value, "requests")), 2 ** 64);
  assert.deepEqual(decoded.value["$unknowns"], [Buffer.from([0xf8, 0x3f, 0x01])]);
});
