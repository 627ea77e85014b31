import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHostPort, parseSidecarFlags, type SidecarFlags, sidecarHelp } from "./flags.ts";

function flags(...words: string[]): SidecarFlags {
  const result = parseSidecarFlags(words);
  assert.ok(result.ok, result.ok ? "" : result.error.join("\n"));
  assert.ok(result.value.type === "run");
  return result.value.flags;
}

function faults(...words: string[]): readonly string[] {
  const result = parseSidecarFlags(words);
  assert.ok(!result.ok);
  return result.error;
}

test("no flags at all give the defaults", () => {
  assert.deepEqual(flags(), {
    config: undefined,
    controlPlane: undefined,
    nodeId: undefined,
    nodeCluster: undefined,
    adminAddress: undefined,
    concurrency: 1,
    logLevel: "info",
    logFormat: "text",
    drainTimeMs: 5000,
    drain: { strategy: "gradual", timeMs: 600_000 },
    exitWithParent: false,
  });
});

test("reads a bootstrap's file or text, and the number of workers", () => {
  assert.deepEqual(flags("-c", "a.yaml", "--concurrency", "3").config, { type: "file", path: "a.yaml" });
  assert.equal(flags("--config-path=a=b.yaml", "--concurrency=3").concurrency, 3);
  assert.deepEqual(flags("--config-path=a=b.yaml").config, { type: "file", path: "a=b.yaml" });
  assert.deepEqual(flags("--config-yaml", "node: {}").config, { type: "text", text: "node: {}" });
});

test("reads what the control plane's form needs", () => {
  const words =
    "--control-plane 127.0.0.1:15010 --node-id shop/orders/1 --node-cluster orders --admin-address [::1]:0 " +
    "--log-level warning --log-format json --drain-time-s 0 --exit-with-parent";
  const read = flags(...words.split(" "));
  assert.equal(read.controlPlane, "127.0.0.1:15010");
  assert.equal(read.nodeId, "shop/orders/1");
  assert.equal(read.nodeCluster, "orders");
  assert.deepEqual(read.adminAddress, { type: "socket", address: "::1", port: 0 });
  assert.equal(read.logLevel, "warn");
  assert.equal(read.logFormat, "json");
  assert.equal(read.drainTimeMs, 0);
  assert.equal(read.exitWithParent, true);
});

test("Envoy's names for node id and cluster are understood", () => {
  const read = flags("--service-node", "n", "--service-cluster", "c");
  assert.deepEqual([read.nodeId, read.nodeCluster], ["n", "c"]);
});

test("an unknown flag is refused with the nearest one", () => {
  assert.deepEqual(faults("--concurency", "2"), [
    "--concurency is no flag; is --concurrency meant?",
    '"2" stands behind no flag',
  ]);
  assert.deepEqual(faults("--zzzzzzzzzz"), ["--zzzzzzzzzz is no flag"]);
});

test("every fault is told, not the first", () => {
  assert.deepEqual(
    faults("-c", "a", "--config-yaml", "b", "--control-plane", "nowhere", "--concurrency", "0", "--log-level", "loud"),
    [
      "-c and --config-yaml exclude each other",
      "--control-plane and a bootstrap exclude each other: the bootstrap names its own control plane",
      '--control-plane: found "nowhere", allowed is HOST:PORT',
      '--log-level: found "loud", allowed are trace, debug, info, warn, error and off',
      '--concurrency: found "0", allowed are 1 to 256',
    ],
  );
  assert.deepEqual(faults("-c"), ["-c: FILE is missing"]);
  assert.deepEqual(faults("--exit-with-parent=yes"), ["--exit-with-parent takes no value"]);
  assert.deepEqual(faults("-l", "info", "--log-level", "debug"), ["--log-level is given twice"]);
});

test("help and version come before all faults", () => {
  assert.deepEqual(parseSidecarFlags(["--nonsense", "--help"]), {
    ok: true,
    value: { type: "print", what: "help" },
  });
  assert.deepEqual(parseSidecarFlags(["--version"]), { ok: true, value: { type: "print", what: "version" } });
  assert.match(sidecarHelp(), /--concurrency N {2,}traffic workers \(1\)/);
});

test("host and port, with IPv6 in brackets", () => {
  assert.deepEqual(parseHostPort("localhost:80"), { type: "socket", address: "localhost", port: 80 });
  assert.deepEqual(parseHostPort("[::1]:80"), { type: "socket", address: "::1", port: 80 });
  for (const wrong of ["80", "::1:80", "a:65536", "a:", "a b:1", ""]) assert.equal(parseHostPort(wrong), undefined);
});
