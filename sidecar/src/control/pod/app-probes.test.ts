import assert from "node:assert/strict";
import { test } from "node:test";
import { readAppProbes } from "./app-probes.ts";

const PATH = "/app-health/app/livez";
const read = (probe: unknown) => readAppProbes(JSON.stringify({ [PATH]: probe }));

test("reads probes as they stand in a manifest, with the kubelet's defaults", () => {
  const only = (probe: unknown) => {
    const result = read(probe);
    return result.ok ? result.value.get(PATH) : assert.fail(result.error.join());
  };
  assert.deepEqual(only({ httpGet: { port: 80, scheme: "HTTPS", path: "a?b", httpHeaders: [{ name: "X", value: "y" }] } }), {
    type: "http", port: 80, path: "/a?b", tls: true, headers: [["X", "y"]], timeoutMs: 1000,
  }); // biome-ignore format: a table
  assert.deepEqual(only({ tcpSocket: { port: 1 }, timeoutSeconds: 5 }), { type: "tcp", port: 1, timeoutMs: 5000 });
  assert.deepEqual(only({ grpc: { port: 9000 } }), { type: "grpc", port: 9000, service: "", timeoutMs: 1000 });
  assert.deepEqual(readAppProbes(undefined), { ok: true, value: new Map() });
});

test("what is no probe is refused, and so is what could become another request", () => {
  for (const probe of [
    {},
    [],
    { httpGet: { port: 0 } },
    { httpGet: { port: "80" } },
    { httpGet: { port: 80, path: "/a b" } },
    { httpGet: { port: 80, path: "/a\r\nX: y" } },
    { httpGet: { port: 80, httpHeaders: [{ name: "a b", value: "" }] } },
    { httpGet: { port: 80, httpHeaders: [{ name: "a", value: "x\r\ny: z" }] } },
    { httpGet: { port: 80 }, tcpSocket: { port: 80 } },
    { tcpSocket: { port: 80 }, timeoutSeconds: -1 },
  ])
    assert.equal(read(probe).ok, false, JSON.stringify(probe));
  for (const text of ["{", "[]", '{"/elsewhere":{"tcpSocket":{"port":1}}}', `{"a":"${"x".repeat(300_000)}"}`])
    assert.equal(readAppProbes(text).ok, false);
});
