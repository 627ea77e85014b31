import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { fromProtoJson, messageFromJson } from "./json-reader.ts";
import { toProtoJson } from "./json-writer.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";
const LISTENER = "envoy.config.listener.v3.Listener";

function thereAndBack(typeName: string, json: unknown): Json {
  const bytes = fromProtoJson(typeName, json);
  assert.ok(bytes.ok, JSON.stringify(bytes));
  const back = toProtoJson(typeName, bytes.value);
  assert.ok(back.ok, JSON.stringify(back));
  return back.value;
}

function issuesOf(typeName: string, json: unknown): string[] {
  const result = fromProtoJson(typeName, json);
  assert.ok(!result.ok);
  return result.error.map((issue) => `${issue.path}: ${issue.message}`);
}

test("snake_case and lower camel case are both read; lower camel case is written", () => {
  const expected = { name: "a", connectTimeout: "1.500s", lbPolicy: "RANDOM", perConnectionBufferLimitBytes: 7 };
  assert.deepEqual(
    thereAndBack(CLUSTER, { name: "a", connect_timeout: "1.5s", lb_policy: 3, per_connection_buffer_limit_bytes: 7 }),
    expected,
  );
  assert.deepEqual(thereAndBack(CLUSTER, expected), expected);
});

test("a typed config of a known type is read and written as its message", () => {
  const json = {
    name: "l",
    filterChains: [
      {
        filters: [
          {
            name: "hcm",
            typedConfig: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              statPrefix: "x",
              rds: { configSource: { ads: {} }, routeConfigName: "r" },
            },
          },
        ],
      },
    ],
  };
  assert.deepEqual(thereAndBack(LISTENER, json), json);
});

test("types of the extensions descriptor are found", () => {
  const json = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    statPrefix: "t",
    cluster: "c",
  };
  assert.deepEqual(thereAndBack("google.protobuf.Any", json), json);
});

test("an Any of an unknown type is written with its bytes", () => {
  const any = fromProtoJson("google.protobuf.Any", { "@type": "x/google.protobuf.StringValue", value: "v" });
  assert.ok(any.ok);
  const renamed = Buffer.from(any.value)
    .toString("latin1")
    .replace("google.protobuf.StringValue", "nobody.knows.this.StringVal");
  assert.deepEqual(toProtoJson("google.protobuf.Any", Buffer.from(renamed, "latin1")), {
    ok: true,
    value: { "@type": "x/nobody.knows.this.StringVal", value: "CgF2" },
  });
});

test("Struct, wrappers, Timestamp, FieldMask, 64-bit integers and floats keep their value", () => {
  const struct = { a: [1, "x", null, { b: true }], ["__proto__"]: { polluted: true } };
  assert.deepEqual(thereAndBack("google.protobuf.Struct", struct), struct);
  assert.equal(thereAndBack("google.protobuf.UInt64Value", "18446744073709551615"), "18446744073709551615");
  assert.equal(thereAndBack("google.protobuf.BoolValue", false), false);
  assert.equal(thereAndBack("google.protobuf.FloatValue", 0.1), 0.1);
  assert.equal(thereAndBack("google.protobuf.Timestamp", "2026-01-31T12:00:00.5Z"), "2026-01-31T12:00:00.500Z");
  assert.equal(thereAndBack("google.protobuf.FieldMask", "fooBar,baz.qux"), "fooBar,baz.qux");
  assert.equal(thereAndBack("google.protobuf.Duration", "-1.5s"), "-1.500s");
  assert.equal(thereAndBack("google.protobuf.Duration", "0.000000001s"), "0.000000001s");
});

test("durations and wrappers are also read by their fields, as older readers did", () => {
  const read = (fields: object): unknown => {
    const message = messageFromJson(CLUSTER, { name: "c", ...fields });
    return message.ok ? message.value : message.error.map(({ path }) => path);
  };
  assert.deepEqual(read({ connect_timeout: { seconds: 5 } }), { name: "c", connect_timeout: { seconds: 5 } });
  assert.deepEqual(read({ connect_timeout: { seconds: "1", nanos: 2 } }), {
    name: "c",
    connect_timeout: { seconds: 1, nanos: 2 },
  });
  assert.deepEqual(read({ per_connection_buffer_limit_bytes: { value: 5 } }), {
    name: "c",
    per_connection_buffer_limit_bytes: { value: 5 },
  });
  for (const wrong of [{ seconds: 1.5 }, { seconds: 1, nanos: -1 }, { second: 1 }, { nanos: 1e9 }, [1]])
    assert.deepEqual(read({ connect_timeout: wrong }), ["connect_timeout"], JSON.stringify(wrong));
  for (const wrong of [{ value: -1 }, { value: { value: 1 } }, { value: 1, more: 1 }])
    assert.deepEqual(read({ per_connection_buffer_limit_bytes: wrong }), ["per_connection_buffer_limit_bytes"]);
});

test("what stands alone where a list belongs is a list of one, as in Envoy", () => {
  const listed = { ...cluster([{ lb_endpoints: [{ load_balancing_weight: 5 }] }]), common_lb_config: {} };
  const alone = { ...cluster({ lb_endpoints: { load_balancing_weight: 5 } }), common_lb_config: {} };
  assert.deepEqual(fromProtoJson(CLUSTER, alone), fromProtoJson(CLUSTER, listed));
  assert.deepEqual(issuesOf(CLUSTER, cluster({ lb_endpoints: { load_balancing_weight: "x" } })), [
    'load_assignment.endpoints.lb_endpoints.load_balancing_weight: found "x", allowed is a whole number from 0 to 4294967295',
  ]);

  function cluster(endpoints: unknown): object {
    return { name: "a", load_assignment: { cluster_name: "a", endpoints } };
  }
});

test("true and false may stand as text, and as the words that YAML 1.1 has for them", () => {
  const read = (value: unknown) => fromProtoJson(CLUSTER, { name: "a", respect_dns_ttl: value });
  for (const word of ["true", "True", "yes", "on", "Y"]) assert.deepEqual(read(word), read(true), word);
  for (const word of ["false", "FALSE", "no", "off", "n"]) assert.deepEqual(read(word), read(false), word);
  assert.deepEqual(issuesOf(CLUSTER, { respect_dns_ttl: "maybe" }), [
    'respect_dns_ttl: found "maybe", allowed is true or false',
  ]);
  assert.deepEqual(issuesOf(CLUSTER, { respect_dns_ttl: 1 }), ["respect_dns_ttl: found 1, allowed is true or false"]);
});

test("every mistake is reported, with the path as it stands in the document", () => {
  const issues = issuesOf(LISTENER, {
    name: 7,
    filterchains: [],
    nonsense: 1,
    address: { socket_address: { address: "::1", port_value: 99999999999, named_port: "http" } },
    filter_chains: [{ filters: "x" }, { filters: [{ typed_config: { "@type": "x/no.such.Type" } }] }],
    metadata: { filter_metadata: { "a.b": 5 } },
    listener_filters_timeout: "1m",
    traffic_direction: "SIDEWAYS",
  });
  assert.deepEqual(issues, [
    "name: found 7, allowed is text",
    'filterchains: is no field of envoy.config.listener.v3.Listener; did you mean "filter_chains"?',
    "nonsense: is no field of envoy.config.listener.v3.Listener",
    "address.socket_address.port_value: found 99999999999, allowed is a whole number from 0 to 4294967295",
    'address.socket_address.named_port: excludes "port_value", which is set as well',
    'filter_chains[0].filters: found "x", allowed is an object',
    'filter_chains[1].filters[0].typed_config.@type: message type "no.such.Type" is not known',
    'metadata.filter_metadata["a.b"]: found 5, allowed is an object',
    'listener_filters_timeout: found "1m", allowed is a duration in seconds such as "1.5s"',
    'traffic_direction: found "SIDEWAYS", allowed are UNSPECIFIED, INBOUND, OUTBOUND',
  ]);
});

test("equal documents give equal bytes, whatever the order of their keys", () => {
  const one = fromProtoJson(CLUSTER, { name: "a", metadata: { filter_metadata: { x: { b: 1, a: 2 }, w: {} } } });
  const other = fromProtoJson(CLUSTER, { metadata: { filter_metadata: { w: {}, x: { a: 2, b: 1 } } }, name: "a" });
  assert.deepEqual(one, other);
});

test("a document nested without end is an issue and no overflow", () => {
  let json: unknown = { any: true };
  for (let i = 0; i < 5000; i++) json = { and_rules: { rules: [json] } };
  const issues = issuesOf("envoy.config.rbac.v3.Permission", json);
  assert.match(issues[0] ?? "", /nested deeper than 100 levels$/);
});

test("what is read can be written and read again, however deep a Struct in it is; what is too deep for that is an issue", () => {
  const levels = (count: number): unknown =>
    count === 0 ? 1 : count % 2 === 0 ? [levels(count - 1)] : { a: levels(count - 1) };
  const cluster = (depth: number) => ({ name: "a", metadata: { filter_metadata: { x: { a: levels(depth) } } } });
  let deepest = 0;
  for (let depth = 1; depth < 60; depth++) {
    const read = fromProtoJson(CLUSTER, cluster(depth));
    if (!read.ok) continue;
    assert.ok(toProtoJson(CLUSTER, read.value).ok);
    deepest = depth;
  }
  assert.ok(deepest > 35 && deepest < 50, `${deepest} levels`);
  let flood: unknown = 1;
  for (let depth = 0; depth < 50_000; depth++) flood = [flood];
  for (const json of [cluster(49), { name: "a", metadata: { filter_metadata: { x: { a: flood } } } }])
    assert.match(issuesOf(CLUSTER, json)[0] ?? "", /^metadata\.filter_metadata\.x: is nested deeper than 90 messages/);
});

test("no error shows what was written where a key belongs", () => {
  const secret = "envoy.extensions.transport_sockets.tls.v3.Secret";
  for (const private_key of ["hunter2", { inline_string: 4711 }, { inline_bytes: "hunter2!" }, ["hunter2"]]) {
    const read = fromProtoJson(secret, { tls_certificate: { private_key } });
    assert.ok(!read.ok);
    assert.match(JSON.stringify(read.error), /is none, allowed is/);
    assert.doesNotMatch(JSON.stringify(read.error), /hunter2|4711/);
  }
});
