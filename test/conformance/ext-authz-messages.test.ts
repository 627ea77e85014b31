import assert from "node:assert/strict";
import { test } from "node:test";
import { checkRequestBytes, type HeaderOption, readCheckResponse } from "@heddle/traffic/ext-authz";
import fc from "fast-check";
import type { Check } from "../harness/authorizer.ts";
import type { Json } from "../harness/envoy-config.ts";
import { decodeForeign, encodeForeign, foreignStruct } from "../harness/foreign-protos.ts";

/*
 * The codec of `ext_authz`, which is written by hand since a traffic worker has no protobuf library, beside protobufjs with Envoy's
 * own .proto files.
 */

const REQUEST = "envoy.service.auth.v3.CheckRequest";
const RESPONSE = "envoy.service.auth.v3.CheckResponse";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const ascii = fc.string({ unit: "grapheme-ascii", maxLength: 300 });
const name = fc.string({ unit: fc.constantFrom("a", "b", "c", "x", "y", "-"), minLength: 1, maxLength: 6 });
const map = fc.dictionary(name, text, { maxKeys: 4 });
const peer = fc.record({
  address: fc.constantFrom("127.0.0.1", "2001:db8::1"),
  port: fc.integer({ min: 1, max: 65_535 }),
  service: ascii,
  labels: map,
  principal: ascii,
  certificate: ascii,
});
const json = fc.jsonValue({ maxDepth: 3 });
const metadata = fc.dictionary(name, fc.dictionary(name, json, { maxKeys: 3 }), { maxKeys: 3 });
const request = fc.record({
  timeMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  id: ascii,
  method: ascii,
  path: ascii,
  host: ascii,
  scheme: ascii,
  size: fc.maxSafeNat(),
  protocol: ascii,
  headers: fc.array(fc.tuple(name, ascii), { maxLength: 6 }).map((pairs) => pairs.flat()),
  rawHeaders: fc.boolean(),
  body: fc.uint8Array({ maxLength: 400 }),
  rawBody: fc.boolean(),
});

test("a CheckRequest is read by protobufjs as it was meant", () => {
  fc.assert(
    fc.property(
      peer,
      peer,
      request,
      map,
      metadata,
      metadata,
      ascii,
      (source, destination, http, context, own, route, sni) => {
        const bytes = checkRequestBytes({
          source,
          destination,
          request: http,
          contextExtensions: context,
          metadata: entriesOf(own),
          routeMetadata: entriesOf(route),
          sni,
        });
        const { attributes } = decodeForeign<Check>(REQUEST, Buffer.from(bytes));
        for (const [got, wanted] of [
          [attributes.source, source],
          [attributes.destination, destination],
        ] as const) {
          assert.equal(got.address.socket_address?.address, wanted.address);
          assert.equal(got.address.socket_address?.port_value, wanted.port);
          assert.equal(got.service, wanted.service);
          assert.equal(got.principal, wanted.principal);
          assert.equal(got.certificate, wanted.certificate);
          assert.deepEqual({ ...got.labels }, { ...wanted.labels });
        }
        const { request: got } = attributes;
        assert.equal(Number(got.time.seconds), Math.floor(http.timeMs / 1000));
        const { headers, header_map: list, raw_body: raw, body, ...plain } = got.http;
        const { timeMs: _, rawHeaders, rawBody, headers: sent, body: sentBody, size, ...wanted } = http;
        assert.deepEqual(plain, { ...wanted, size: String(size), query: "", fragment: "" });
        assert.deepEqual(
          list?.headers.flatMap(({ key, raw_value: value }) => [key, value.toString("latin1")]),
          rawHeaders ? sent : undefined,
        );
        assert.deepEqual({ ...headers }, rawHeaders ? {} : joined(sent));
        assert.deepEqual(raw, rawBody ? Buffer.from(sentBody) : Buffer.alloc(0));
        assert.equal(body, rawBody ? "" : sanitized(sentBody));
        assert.deepEqual({ ...attributes.context_extensions }, { ...context });
        assert.deepEqual(attributes.metadata_context, foreignMetadata(own));
        assert.deepEqual(attributes.route_metadata_context, foreignMetadata(route));
        assert.equal(attributes.tls_session?.sni, sni);
      },
    ),
    { numRuns: 150, seed: 61 },
  );
});

test("of a connection there is no request, and a Unix socket is a pipe", () => {
  const nobody = { port: 0, service: "", labels: {}, principal: "", certificate: "" };
  const bytes = checkRequestBytes({
    source: { ...nobody, address: "" },
    destination: { ...nobody, address: "/run/app.sock" },
    contextExtensions: {},
  });
  const { attributes } = decodeForeign<Check>(REQUEST, Buffer.from(bytes));
  assert.equal(attributes.request, null);
  assert.equal(attributes.tls_session, null);
  assert.equal(attributes.metadata_context, null);
  assert.deepEqual(attributes.destination.address, { pipe: { path: "/run/app.sock", mode: 0 } });
});

test("CVE-2023-27488: bytes that are no UTF-8 go as ! in text, and as they are in raw headers and bodies", () => {
  const nobody = { address: "192.0.2.1", port: 1, service: "", labels: {}, principal: "", certificate: "" };
  const check = (raw: boolean): Check["attributes"]["request"]["http"] =>
    decodeForeign<Check>(
      REQUEST,
      Buffer.from(
        checkRequestBytes({
          source: nobody,
          destination: nobody,
          request: {
            timeMs: 0,
            id: "",
            method: "GET",
            path: "/\xff",
            host: "a",
            scheme: "http",
            size: 0,
            protocol: "HTTP/2",
            headers: ["x", "a\xe9b", "x", "\xe2\x98\xba", "y", "\xe2\x98", "z", "\xf0\x9f\x98\x88\xc0\x80"],
            rawHeaders: raw,
            body: Buffer.from("\xedz", "latin1"),
            rawBody: raw,
          },
          contextExtensions: {},
        }),
      ),
    ).attributes.request.http;
  const asText = check(false);
  assert.deepEqual({ ...asText.headers }, { x: "a!b,☺", y: "!!", z: "😈!!" });
  assert.equal(asText.path, "/!");
  assert.equal(asText.body, "!z");
  const asBytes = check(true);
  const values = asBytes.header_map?.headers.map(({ raw_value: value }) => value.toString("latin1"));
  assert.deepEqual(values, ["a\xe9b", "\xe2\x98\xba", "\xe2\x98", "\xf0\x9f\x98\x88\xc0\x80"]);
  assert.equal(asBytes.raw_body.toString("latin1"), "\xedz");
});

const option = fc.record({
  header: fc.record({ key: name, value: ascii }),
  append: fc.constantFrom(null, { value: true }, { value: false }),
  append_action: fc.constantFrom(
    "APPEND_IF_EXISTS_OR_ADD",
    "ADD_IF_ABSENT",
    "OVERWRITE_IF_EXISTS_OR_ADD",
    "OVERWRITE_IF_EXISTS",
  ),
});
const answer = fc.record({
  code: fc.integer({ min: -1, max: 16 }),
  denied: fc.record({
    status: fc.constantFrom(0, 401, 403, 503),
    headers: fc.array(option, { maxLength: 3 }),
    body: text,
  }),
  ok: fc.record({
    headers: fc.array(option, { maxLength: 4 }),
    remove: fc.array(name, { maxLength: 3 }),
    response: fc.array(option, { maxLength: 3 }),
    set: fc.array(fc.tuple(name, ascii), { maxLength: 3 }),
    unset: fc.array(name, { maxLength: 3 }),
    metadata: fc.option(fc.dictionary(name, json, { maxKeys: 3 }), { nil: undefined }),
  }),
  allows: fc.boolean(),
  metadata: fc.option(fc.dictionary(name, json, { maxKeys: 3 }), { nil: undefined }),
});

test("a CheckResponse of protobufjs is read as it was meant", () => {
  fc.assert(
    fc.property(answer, ({ code, denied, ok, allows, metadata: outer }) => {
      const bytes = encodeForeign(RESPONSE, {
        status: { code },
        ...(allows
          ? {
              ok_response: {
                headers: ok.headers,
                headers_to_remove: ok.remove,
                response_headers_to_add: ok.response,
                query_parameters_to_set: ok.set.map(([key, value]) => ({ key, value })),
                query_parameters_to_remove: ok.unset,
                ...(ok.metadata !== undefined && { dynamic_metadata: foreignStruct(ok.metadata) }),
              },
            }
          : { denied_response: { status: { code: denied.status }, headers: denied.headers, body: denied.body } }),
        ...(outer !== undefined && { dynamic_metadata: foreignStruct(outer) }),
      });
      const read = readCheckResponse(bytes);
      assert.ok(read !== undefined);
      assert.equal(read.code === 0, code === 0);
      assert.deepEqual(objectOf(read.dynamicMetadata), outer && withoutNegativeZeros(outer));
      if (allows) {
        assert.equal(read.denied, undefined);
        assert.deepEqual(read.ok?.headers, ok.headers.map(optionOf));
        assert.deepEqual(read.ok?.responseHeadersToAdd, ok.response.map(optionOf));
        assert.deepEqual(read.ok?.headersToRemove, ok.remove);
        assert.deepEqual(read.ok?.queryParametersToSet, ok.set);
        assert.deepEqual(read.ok?.queryParametersToRemove, ok.unset);
        assert.deepEqual(objectOf(read.ok?.dynamicMetadata), ok.metadata && withoutNegativeZeros(ok.metadata));
      } else {
        assert.equal(read.ok, undefined);
        assert.equal(read.denied?.status, denied.status);
        assert.deepEqual(read.denied?.headers, denied.headers.map(optionOf));
        assert.equal(Buffer.from(read.denied?.body ?? "").toString(), denied.body);
      }
    }),
    { numRuns: 200, seed: 62 },
  );
});

test("of a oneof the last counts, a message that comes twice is merged, and what is no message is told from one", () => {
  const denied = encodeForeign(RESPONSE, { denied_response: { body: "no" } });
  const ok = encodeForeign(RESPONSE, { ok_response: { headers_to_remove: ["a"] } });
  const more = encodeForeign(RESPONSE, { ok_response: { headers_to_remove: ["B"] } });
  assert.deepEqual(readCheckResponse(Buffer.concat([denied, ok, more]))?.ok?.headersToRemove, ["a", "b"]);
  assert.equal(readCheckResponse(Buffer.concat([denied, ok, more]))?.denied, undefined);
  assert.equal(readCheckResponse(Buffer.concat([ok, denied]))?.ok, undefined);
  // `error_response` (5) is newer than the .proto files here; its message is that of `denied_response` (2).
  const failed = Buffer.from(denied);
  failed[0] = (5 << 3) | 2;
  assert.equal(Buffer.from(readCheckResponse(failed)?.error?.body ?? "").toString(), "no");
  assert.deepEqual(readCheckResponse(Buffer.alloc(0)), { code: 0 });
  for (const bytes of [
    denied.subarray(0, -1),
    Buffer.from([0x0a]),
    Buffer.from([0x0a, 1, 0xff]),
    Buffer.from("garbage"),
  ])
    assert.equal(readCheckResponse(bytes), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readCheckResponse(bytes)),
    { numRuns: 300, seed: 63 },
  );
});

test("metadata that is nested without end is no message", () => {
  let value: Json = { stringValue: "deep" };
  for (let i = 0; i < 40; i++) value = { listValue: { values: [value] } };
  const nested = encodeForeign(RESPONSE, { dynamic_metadata: { fields: { a: value } } });
  assert.equal(readCheckResponse(nested), undefined);
});

function entriesOf(metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>) {
  return new Map(Object.entries(metadata).map(([namespace, values]) => [namespace, Object.entries(values)]));
}

function joined(headers: readonly string[]): Json {
  const values: Record<string, string[]> = {};
  for (let i = 0; i < headers.length; i += 2) (values[headers[i]!] ??= []).push(headers[i + 1]!);
  return Object.fromEntries(Object.entries(values).map(([key, all]) => [key, all.join(",")]));
}

/** By the definition: a character whose decoding gives its bytes again is one. */
function sanitized(bytes: Uint8Array): string {
  let result = "";
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((size) => {
      const piece = Buffer.from(bytes.subarray(at, at + size));
      return (
        piece.length === size &&
        Array.from(piece.toString()).length === 1 &&
        Buffer.from(piece.toString()).equals(piece)
      );
    });
    result += length === undefined ? "!" : Buffer.from(bytes.subarray(at, at + length)).toString();
    at += length ?? 1;
  }
  return result;
}

function foreignMetadata(metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>): Json {
  const bytes = encodeForeign("envoy.config.core.v3.Metadata", {
    filter_metadata: Object.fromEntries(Object.entries(metadata).map(([key, values]) => [key, foreignStruct(values)])),
  });
  return decodeForeign("envoy.config.core.v3.Metadata", bytes);
}

function optionOf({
  header,
  append,
  append_action: action,
}: {
  readonly header: { readonly key: string; readonly value: string };
  readonly append: { readonly value: boolean } | null;
  readonly append_action: string;
}): HeaderOption {
  const actions = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"];
  return { name: header.key, value: header.value, append: append?.value, appendAction: actions.indexOf(action) };
}

function objectOf(entries: readonly (readonly [string, unknown])[] | undefined): unknown {
  return entries && Object.fromEntries(entries);
}

/** protobufjs leaves out what it takes for a default. */
function withoutNegativeZeros(values: unknown): unknown {
  return JSON.parse(JSON.stringify(values));
}
