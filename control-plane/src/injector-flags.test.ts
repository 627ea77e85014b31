import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { INJECTOR_HELP, parseInjectorFlags } from "./injector-flags.ts";

function faultsOf(line: string): string {
  const read = parseInjectorFlags(line.split(" ").filter(Boolean));
  return read.ok ? "" : read.error.join("\n");
}

describe("flags of an injector", () => {
  it("have defaults", () => {
    const read = parseInjectorFlags(["--control-plane", "cp.mesh:15012"]);
    assert.deepEqual(read.ok && read.value.type === "run" && read.value.flags, {
      webhooks: {
        address: { host: "::", port: 15_017 },
        clientCaFile: undefined,
        clientNames: [],
        settingsFile: undefined,
        revision: undefined,
        tlsNames: [],
      },
      certificate: {
        type: "authority",
        controlPlane: { host: "cp.mesh", port: 15_012 },
        caFile: "/var/run/heddle/ca/root.pem",
        tokenFile: "/var/run/heddle/token/token",
      },
      kubernetes: undefined,
      adminAddress: { host: "127.0.0.1", port: 15_018 },
      logLevel: "info",
      logFormat: "text",
      exitWithParent: false,
    });
  });

  it("are all read", () => {
    const line =
      "--webhook-address 0.0.0.0:1 --tls-cert c --tls-key k --tls-ca a --webhook-client-ca b --webhook-client-name api --webhook-client-name x --injection-settings s --revision canary --kubeconfig f --kubernetes-context c --admin-address [::1]:2 --log-level debug --log-format json --exit-with-parent";
    const read = parseInjectorFlags(line.split(" "));
    assert.deepEqual(read.ok && read.value.type === "run" && read.value.flags, {
      webhooks: {
        address: { host: "0.0.0.0", port: 1 },
        clientCaFile: "b",
        clientNames: ["api", "x"],
        settingsFile: "s",
        revision: "canary",
        tlsNames: [],
      },
      certificate: { type: "files", certificateFile: "c", keyFile: "k", caFile: "a" },
      kubernetes: { type: "kubeconfig", file: "f", context: "c" },
      adminAddress: { host: "::1", port: 2 },
      logLevel: "debug",
      logFormat: "json",
      exitWithParent: true,
    });
  });

  it("that are wrong are all told of", () => {
    assert.match(faultsOf(""), /name a serving certificate \(--tls-cert and --tls-key\)/);
    assert.match(faultsOf("--tls-cert a"), /--tls-cert and --tls-key go together/);
    assert.match(
      faultsOf("--tls-cert a --tls-key b --control-plane c:1"),
      /--control-plane: the certificate is that of/,
    );
    assert.match(faultsOf("--control-plane c:1 --tls-ca a"), /--tls-ca: needs --tls-cert/);
    const faults = faultsOf(
      "--webhook-address x --control-plane y --webhook-client-name a --revision A_b --webhook-san a --admin-address z --log-level w --log-format v",
    );
    for (const flag of [
      "webhook-address",
      "control-plane",
      "webhook-client-name",
      "revision",
      "webhook-san",
      "admin-address",
      "log-level",
      "log-format",
    ])
      assert.match(faults, new RegExp(`--${flag}: `));
    assert.match(faultsOf("--control-plane c:1 --kubernetes --kubeconfig f"), /exclude each other/);
    assert.match(faultsOf("--control-plane c:1 --kubernetes-context f"), /needs --kubeconfig/);
    assert.match(faultsOf("--nothing"), /Unknown option/);
  });

  it("are all in the help", () => {
    for (const flag of [
      "tls-cert",
      "tls-key",
      "tls-ca",
      "control-plane",
      "ca-bundle",
      "service-account-token",
      "webhook-address",
      "webhook-client-ca",
      "webhook-client-name",
      "injection-settings",
      "revision",
      "admin-address",
    ])
      assert.match(INJECTOR_HELP, new RegExp(`--${flag} `));
  });
});
