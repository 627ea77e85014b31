import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs/light.js";
import { LONGEST_NAME } from "./declared-types.ts";
import { describeMessage, isKnownType } from "./describe.ts";
import { coreDescriptor } from "./gen/core.ts";
import { etcdDescriptor } from "./gen/etcd.ts";
import { extensionsDescriptor } from "./gen/extensions.ts";
import { honouredDescriptor } from "./gen/honoured.ts";
import { decodeMessage, encodeMessage, fieldOf, toNumber } from "./message.ts";
import { findType, typeNameOf, typeOf, typeUrlOf } from "./registry.ts";

const DESCRIPTORS = [coreDescriptor, honouredDescriptor, extensionsDescriptor, etcdDescriptor];

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
  const packages = (text: string): string[] => [...new Set(namesIn(text).map((name) => name.split(".")[0]!))].sort();
  assert.deepEqual(packages(honouredDescriptor), ["envoy", "google", "xds"]);
  assert.deepEqual(packages(extensionsDescriptor), ["envoy", "xds"]);
  assert.deepEqual(packages(etcdDescriptor), ["etcdserverpb"]);
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

test("every type that is made by itself is what it is where all are made at once", () => {
  const whole = new protobuf.Root();
  for (const text of DESCRIPTORS) {
    for (const [name, json] of declarations(text)) {
      const dot = name.lastIndexOf(".");
      whole.define(name.slice(0, dot)).addJSON({ [name.slice(dot + 1)]: json });
    }
  }
  whole.resolveAll();
  let fields = 0;
  const visit = (object: protobuf.ReflectionObject): void => {
    assert.ok(object.fullName.length <= LONGEST_NAME);
    if (object instanceof protobuf.Type) {
      const alone = typeOf(object.fullName.slice(1));
      for (const [index, field] of object.fieldsArray.entries())
        assert.equal(shown(alone.fieldsArray[index]!), shown(field), field.fullName);
      assert.equal(alone.oneofsArray.map(shownOneof).join(), object.oneofsArray.map(shownOneof).join());
      fields += object.fieldsArray.length;
    }
    if (object instanceof protobuf.Namespace || object instanceof protobuf.Type) object.nestedArray.forEach(visit);
  };
  visit(whole);
  assert.ok(fields > 3000, `${fields} fields`);
});

/** What decides how a field is read and written. */
function shown(field: protobuf.Field): string {
  const { name, id, repeated, map, required, packed, delimited, hasPresence, typeDefault, options } =
    field.resolve() as protobuf.Field & {
      readonly hasPresence: boolean;
      readonly delimited: boolean;
    };
  const type = field.resolvedType;
  const { _features } = field as unknown as { readonly _features: object };
  const closed =
    type instanceof protobuf.Enum && (type as unknown as { _features: { enum_type: string } })._features.enum_type;
  const of = type === null ? field.type : type.fullName;
  const wire = [id, repeated, map, required, packed, delimited, hasPresence, typeDefault, of, closed];
  return JSON.stringify([name, wire, options, _features, field.partOf?.name]);
}

function shownOneof({ name, oneof, options }: protobuf.OneOf): string {
  return JSON.stringify({ name, oneof, options });
}

function declarations(text: string): [string, protobuf.AnyNestedObject][] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => [line.slice(0, line.indexOf(" ")), JSON.parse(line.slice(line.indexOf(" ")))]);
}

function namesIn(text: string): string[] {
  return declarations(text).map(([name]) => name);
}

test("a name of a megabyte costs no more than another", () => {
  const began = process.cpuUsage();
  assert.equal(findType("a.".repeat(500_000)), undefined);
  assert.ok(process.cpuUsage(began).user < 1e6, "it would take minutes");
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
