import assert from "node:assert/strict";
import { test } from "node:test";
import { webSocketAccept, webSocketKey } from "./handshake.ts";

test("the accept of RFC 6455 §1.3 is that of its key", () => {
  assert.equal(webSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("keys are of 16 bytes, and fresh", () => {
  assert.equal(Buffer.from(webSocketKey(), "base64").length, 16);
  assert.notEqual(webSocketKey(), webSocketKey());
});
