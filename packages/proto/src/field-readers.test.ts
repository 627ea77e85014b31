import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  decodeMessage,
  encodeMessage,
  flagOf,
  type Message,
  messageOf,
  messagesOf,
  numberOf,
  textOf,
  textsOf,
} from "./index.ts";

test("what is not set has proto3's default", () => {
  assert.equal(textOf({}, "name"), "");
  assert.deepEqual(textsOf({}, "names"), []);
  assert.equal(numberOf({}, "weight"), 0);
  assert.equal(flagOf({}, "on"), false);
  assert.equal(bytesOf({}, "value").length, 0);
  assert.equal(messageOf({}, "node"), undefined);
  assert.deepEqual(messagesOf({}, "nodes"), []);
});

test("what was on the wire is read, 64-bit numbers too", () => {
  const message = sent("envoy.service.discovery.v3.DeltaDiscoveryRequest", {
    node: { id: "a" },
    resource_names_subscribe: ["b", "c"],
  });
  assert.equal(textOf(messageOf(message, "node") ?? {}, "id"), "a");
  assert.deepEqual(textsOf(message, "resource_names_subscribe"), ["b", "c"]);
  assert.equal(numberOf(sent("google.protobuf.Duration", { seconds: 5_000_000_000 }), "seconds"), 5_000_000_000);
});

test("a name from Object's prototype is no field", () => {
  assert.equal(messageOf({}, "constructor"), undefined);
});

function sent(typeName: string, message: Message): Message {
  const decoded = decodeMessage(typeName, encodeMessage(typeName, message));
  assert.ok(decoded.ok);
  return decoded.value;
}
