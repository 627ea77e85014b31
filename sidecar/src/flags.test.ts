import assert from "node:assert/strict";
import { test } from "node:test";
import { sidecarHelp, WITHOUT_EFFECT } from "./flag-table.ts";
import { parseHostPort, parseSidecarFlags, type SidecarFlags } from "./flags.ts";

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
    configPath: undefined,
    configYaml: undefined,
    allowUnknownStaticFields: false,
    mode: "serve",
    json: false,
    controlPlane: undefined,
    nodeId: undefined,
    nodeCluster: undefined,
    nodeZone: undefined,
    adminAddress: undefined,
    healthAddress: undefined,
    metricsAddress: undefined,
    adminAddressPath: undefined,
    concurrency: 1,
    logLevel: "info",
    componentLevels: new Map(),
    logFormat: "text",
    logPath: undefined,
    drainTimeMs: 5000,
    drain: { strategy: "gradual", timeMs: 600_000 },
    accessLogFlush: { afterMs: 1000, at: 65_536 },
    disabledExtensions: [],
    statsTags: {},
    exitWithParent: false,
    identity: {
      caBundle: undefined,
      caAddress: undefined,
      joinTokenFile: undefined,
      serviceAccountToken: undefined,
      identityDir: undefined,
      spiffeEndpointSocket: undefined,
      workloadApi: undefined,
      svidRenewAtPercent: undefined,
    },
    withoutEffect: [],
  });
});

test("reads a bootstrap's file or text, and the number of workers", () => {
  assert.equal(flags("-c", "a.yaml", "--concurrency", "3").configPath, "a.yaml");
  assert.equal(flags("--config-path=a=b.yaml", "--concurrency=3").concurrency, 3);
  assert.equal(flags("--config-path=a=b.yaml").configPath, "a=b.yaml");
  const both = flags("-c", "a.yaml", "--config-yaml", "node: {}");
  assert.deepEqual([both.configPath, both.configYaml], ["a.yaml", "node: {}"]);
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

test("a command line for an Envoy is understood as a whole; what has no effect is listed with its reason", () => {
  const words =
    "-c e.yaml --mode init_only -l warning --component-log-level upstream:debug,config:trace --log-path /var/log/e " +
    "--concurrency 2 --service-cluster c --service-node n --service-zone z --admin-address-path /run/admin " +
    "--drain-time-s 60 --drain-strategy immediate --stats-tag team:shop --stats-tag env:prod --bootstrap-version 3 " +
    "--allow-unknown-static-fields --base-id 1 --use-dynamic-base-id --base-id-path /run/id --restart-epoch 0 " +
    "--parent-shutdown-time-s 90 --disable-hot-restart --local-address-ip-version v6 --log-format-escaped " +
    "--enable-fine-grain-logging --skip-deprecated-logs --file-flush-interval-msec 500 --file-flush-min-size-kb 32 " +
    "--reject-unknown-dynamic-fields --ignore-unknown-dynamic-fields --disable-extensions a/b --socket-path @e " +
    "--socket-mode 600 --skip-hot-restart-on-no-parent --skip-hot-restart-parent-stats --enable-core-dump";
  const read = flags(...words.split(" "), "--log-format", "[%Y-%m-%d %T.%e][%t][%l][%n] %v");
  assert.equal(read.mode, "init_only");
  assert.deepEqual(
    [...read.componentLevels],
    [
      ["traffic", "debug"],
      ["xds", "trace"],
    ],
  );
  assert.equal(read.nodeZone, "z");
  assert.equal(read.adminAddressPath, "/run/admin");
  assert.equal(read.logPath, "/var/log/e");
  assert.deepEqual(read.drain, { strategy: "immediate", timeMs: 60_000 });
  assert.deepEqual(read.statsTags, { team: "shop", env: "prod" });
  assert.equal(read.allowUnknownStaticFields, true);
  assert.deepEqual(read.accessLogFlush, { afterMs: 500, at: 32 * 1024 });
  assert.deepEqual(read.disabledExtensions, ["b"]);
  assert.equal(read.withoutEffect.length, 18);
  assert.ok(read.withoutEffect.includes("--base-id has no effect: there is no hot restart"));
  assert.ok(read.withoutEffect.includes("--log-format has no effect with a pattern: lines are text"));
  assert.equal(flags("--cpuset-threads", "--concurrency", "2").concurrency, 2);
  assert.ok(flags("--cpuset-threads").concurrency >= 1);
});

test("values of Envoy's flags are checked, also of those without effect", () => {
  const cases: [words: string[], fault: string][] = [
    [["--mode", "run"], '--mode: found "run", allowed are serve, validate and init_only'],
    [["--mode", "validate"], "--mode validate needs a bootstrap: name one with -c"],
    [["--json"], "--json belongs to --mode validate"],
    [["--bootstrap-version", "2"], '--bootstrap-version: found "2", allowed is 3'],
    [["--restart-epoch", "x"], '--restart-epoch: found "x", allowed is a number'],
    [["--local-address-ip-version", "v5"], '--local-address-ip-version: found "v5", allowed are v4 and v6'],
    [["--drain-strategy", "slow"], '--drain-strategy: found "slow", allowed are gradual and immediate'],
    [["--stats-tag", "a"], '--stats-tag: found "a", allowed is NAME:VALUE'],
    [["--stats-tag", "a:b", "--stats-tag", "a:c"], "--stats-tag: a is given twice"],
    [["--log-format", "xml"], '--log-format: found "xml", allowed are text and json'],
    [["--base-id", "1", "--base-id", "2"], "--base-id is given twice"],
    [
      ["--component-log-level", "nobody:debug,xds"],
      '--component-log-level: found "nobody", allowed are main, xds, report, traffic and Envoy\'s components',
    ],
  ];
  for (const [words, fault] of cases) assert.equal(faults(...words)[0], fault);
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
  const printed = parseSidecarFlags(["--hot-restart-version"]);
  assert.deepEqual(printed, { ok: true, value: { type: "print", what: "hot-restart-version" } });
  assert.match(sidecarHelp(), /--concurrency N {2,}traffic workers \(1\)/);
  for (const { names } of WITHOUT_EFFECT) assert.ok(sidecarHelp().includes(`${names[0]} `), names[0]);
});

test("host and port, with IPv6 in brackets", () => {
  assert.deepEqual(parseHostPort("localhost:80"), { type: "socket", address: "localhost", port: 80 });
  assert.deepEqual(parseHostPort("[::1]:80"), { type: "socket", address: "::1", port: 80 });
  for (const wrong of ["80", "::1:80", "a:65536", "a:", "a b:1", ""]) assert.equal(parseHostPort(wrong), undefined);
});
