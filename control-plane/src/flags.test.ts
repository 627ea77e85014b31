import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HELP, parseFlags } from "./flags.ts";

const noFiles = { caFile: undefined, certFile: undefined, keyFile: undefined, userFile: undefined };

describe("flags", () => {
  it("admin may be a Unix socket", () => {
    const admin = (address: string) => {
      const read = parseFlags(["--config", "a", "--admin-address", address]);
      if (!read.ok) return read.error;
      return read.value.type === "run" ? read.value.flags.adminAddress : undefined;
    };
    assert.deepEqual(admin("unix:/run/admin.sock"), { path: "/run/admin.sock" });
    assert.deepEqual(admin("unix:///run/admin.sock"), { path: "/run/admin.sock" });
    assert.match(JSON.stringify(admin("unix:admin.sock")), /allowed: HOST:PORT such as 127.0.0.1:15010, or unix:/);
    assert.match(JSON.stringify(admin(`unix:/${"a".repeat(107)}`)), /a path of 108 bytes, allowed are 107/);
  });

  it("have defaults", () => {
    const read = parseFlags(["--config", "a", "--config", "b"]);
    assert.deepEqual(read.ok && read.value, {
      type: "run",
      flags: {
        folders: ["a", "b"],
        kubernetes: undefined,
        storePlace: { type: "default" },
        acceptDataLoss: false,
        etcd: { tls: false, ...noFiles },
        xdsAddress: { host: "127.0.0.1", port: 15_010 },
        xdsRestAddress: undefined,
        adminAddress: { host: "127.0.0.1", port: 15_014 },
        api: { address: { host: "127.0.0.1", port: 15_016 }, isAsked: false, tokensFile: undefined, tls: undefined },
        ca: undefined,
        unknownDestinations: "passthrough",
        identifier: undefined,
        logLevel: "info",
        logFormat: "text",
        exitWithParent: false,
      },
    });
  });

  it("say what xDS clients may ask for; what is no number in its range is refused with that", () => {
    const limitsOf = (words: string) => {
      const read = parseFlags(`--config a ${words}`.split(" "));
      return read.ok && read.value.type === "run" ? read.value.flags.xdsLimits : read;
    };
    const some = limitsOf("--xds-max-streams-per-node 8 --xds-max-message-bytes 100000000 --xds-stalled-timeout 30");
    assert.deepEqual(some, {
      server: {
        maxStreams: 50_000,
        maxStreamsPerPeer: 20_000,
        maxStreamsPerNode: 8,
        maxNames: 200_000,
        firstRequestTimeoutMs: 15_000,
        stalledTimeoutMs: 30_000,
      },
      messageBytes: 100_000_000,
      budget: { connectionBytes: 125_000_000, bytes: 268_435_456 },
    });
    const faults = limitsOf("--xds-max-streams 0 --xds-max-names 1e3 --xds-max-message-bytes 9999999999");
    assert.deepEqual(faults, {
      ok: false,
      error: [
        `--xds-max-message-bytes: found "9999999999", allowed: a whole number from 65536 to 1073741824`,
        `--xds-max-streams: found "0", allowed: a whole number from 1 to 10000000`,
        `--xds-max-names: found "1e3", allowed: a whole number from 1 to 10000000`,
      ],
    });
    // With fewer a sidecar would have its resources, and none to report or to renew its certificate on.
    assert.match(JSON.stringify(limitsOf("--xds-max-streams-per-node 7")), /allowed: a whole number from 8 to/);
    assert.match(JSON.stringify(limitsOf("--xds-max-pending-bytes 70000")), /as many as one message may have/);
    for (const flag of ["max-streams", "max-streams-per-address", "max-pending-bytes", "first-request-timeout"])
      assert.ok(HELP.includes(`--xds-${flag} `), flag);
  });

  it("are all read", () => {
    const words =
      "--config a --store /var/lib/mesh --store-accept-data-loss --xds-address [::1]:1 --xds-rest-address [::1]:3 --admin-address localhost:2 --api-address 0.0.0.0:3 --api-tokens t --api-tls-certificate c --api-tls-key k --unknown-destinations blackhole --identifier x --log-level warning --log-format json --exit-with-parent";
    const read = parseFlags(words.split(" "));
    assert.deepEqual(read.ok && read.value.type === "run" && read.value.flags, {
      folders: ["a"],
      kubernetes: undefined,
      storePlace: { type: "log", directory: "/var/lib/mesh" },
      acceptDataLoss: true,
      etcd: { tls: false, ...noFiles },
      xdsAddress: { host: "::1", port: 1 },
      xdsRestAddress: { host: "::1", port: 3 },
      adminAddress: { host: "localhost", port: 2 },
      api: {
        address: { host: "0.0.0.0", port: 3 },
        isAsked: true,
        tokensFile: "t",
        tls: { certificateFile: "c", keyFile: "k" },
      },
      ca: undefined,
      unknownDestinations: "blackhole",
      identifier: "x",
      logLevel: "warn",
      logFormat: "json",
      exitWithParent: true,
    });
  });

  it("of a cluster: nothing is stored unless it is said where, and its service accounts are known", () => {
    const read = parseFlags("--kubernetes --trust-domain a --token-audience mesh".split(" "));
    assert.ok(read.ok && read.value.type === "run");
    const { kubernetes, storePlace, ca } = read.value.flags;
    assert.deepEqual(kubernetes, { kubeconfig: undefined, namespaces: undefined });
    assert.deepEqual([storePlace.type, ca?.tokenReview, ca?.tokenAudience], ["none", undefined, "mesh"]);
    const words =
      "--kubeconfig f --kubernetes-context c --kubernetes-namespace a --kubernetes-namespace b --store d --system-namespace s";
    const outside = parseFlags(words.split(" "));
    assert.ok(outside.ok && outside.value.type === "run");
    assert.equal(outside.value.flags.storePlace.type, "log");
    assert.deepEqual(outside.value.flags.kubernetes, {
      kubeconfig: { file: "f", context: "c" },
      namespaces: ["a", "b"],
      systemNamespace: "s",
    });
    const wrong = (text: string): readonly string[] => {
      const parsed = parseFlags(["--config", "a", ...text.split(" ")]);
      return parsed.ok ? [] : parsed.error;
    };
    assert.match(wrong("--kubernetes --kubeconfig f").join(), /exclude each other/);
    assert.match(wrong("--kubernetes-context c").join(), /needs --kubeconfig/);
    assert.match(wrong("--kubernetes-namespace c").join(), /needs --kubernetes or --kubeconfig/);
    assert.match(wrong("--kubernetes --kubernetes-namespace A_b").join(), /found "A_b", allowed: a namespace's name/);
    assert.match(wrong("--kubernetes --system-namespace s").join(), /needs --kubeconfig; a pod's is its own/);
    assert.match(wrong("--kubeconfig f --system-namespace S").join(), /found "S", allowed: a namespace's name/);
  });

  it("that are wrong are said all at once", () => {
    const read = parseFlags([
      "--store",
      "none",
      "--api-tls-key",
      "k",
      "--xds-address",
      "15010",
      "--admin-address",
      "a:b",
      "--log-level",
      "loud",
      "--log-format",
      "xml",
    ]);
    assert.deepEqual(read.ok || read.error, [
      "--config is missing: the folder of configuration files, where nothing is stored",
      "--api-tls-certificate and --api-tls-key go together",
      "--api-tls-key: nothing can be put where nothing is stored",
      '--log-level: found "loud", allowed: trace, debug, info, warn, error, off',
      '--log-format: found "xml", allowed: text, json',
      '--xds-address: found "15010", allowed: HOST:PORT such as 127.0.0.1:15010',
      '--admin-address: found "a:b", allowed: HOST:PORT such as 127.0.0.1:15010, or unix:/PATH',
    ]);
    assert.match((parseFlags(["--nothing"]) as { error: readonly string[] }).error[0] ?? "", /--nothing/);
  });

  it("name an etcd and what it is to be shown", () => {
    const words =
      "--store etcds://a:1,b:2/mesh --etcd-tls-ca ca --etcd-user user --etcd-tls-certificate cert --etcd-tls-key key";
    const read = parseFlags(words.split(" "));
    const flags = read.ok && read.value.type === "run" && read.value.flags;
    assert.deepEqual(flags && [flags.storePlace, flags.etcd], [
      {
        type: "etcd",
        endpoints: [
          { host: "a", port: 1 },
          { host: "b", port: 2 },
        ],
        prefix: "/mesh/",
        tls: true,
      },
      { tls: true, caFile: "ca", certFile: "cert", keyFile: "key", userFile: "user" },
    ]);
  });

  it("send no password to another machine in the clear, and keep what belongs to etcd with etcd", () => {
    const faults = (...words: string[]) => {
      const read = parseFlags(words);
      return read.ok || read.error;
    };
    assert.deepEqual(faults("--store", "etcd://127.0.0.1:1", "--etcd-user", "user"), true);
    assert.deepEqual(faults("--store", "etcd://127.0.0.1:1,a:1", "--etcd-user", "user", "--etcd-tls-key", "key"), [
      "--etcd-tls-key: needs --store etcds://..., which is etcd over TLS",
      "--etcd-tls-certificate and --etcd-tls-key go together",
      "--etcd-user: a password goes to another machine over TLS alone; give --store etcds://...",
    ]);
    assert.deepEqual(faults("--store", "folder", "--etcd-user", "user"), [
      "--etcd-user: needs --store etcd://... or etcds://...",
    ]);
  });

  it("ask for help, which tells of each", () => {
    assert.deepEqual(parseFlags(["-h"]), { ok: true, value: { type: "print", what: "help" } });
    assert.deepEqual(parseFlags(["--version"]), { ok: true, value: { type: "print", what: "version" } });
    for (const flag of [
      "config",
      "store",
      "store-accept-data-loss",
      "etcd-tls-ca",
      "etcd-tls-certificate",
      "etcd-tls-key",
      "etcd-user",
      "xds-address",
      "admin-address",
      "api-address",
      "api-tokens",
      "api-tls-certificate",
      "api-tls-key",
      "unknown-destinations",
      "identifier",
      "log-level",
      "log-format",
      "exit-with-parent",
    ])
      assert.ok(HELP.includes(`--${flag} `), flag);
  });
});
