import assert from "node:assert/strict";
import { test } from "node:test";
import { type IdentityFlags, identitySettings, workloadApiTarget } from "./identity-settings.ts";

const NONE: IdentityFlags = {
  caBundle: undefined,
  caAddress: undefined,
  joinTokenFile: undefined,
  serviceAccountToken: undefined,
  identityDir: undefined,
  spiffeEndpointSocket: undefined,
  workloadApi: undefined,
  svidRenewAtPercent: undefined,
};

function settings(
  flags: Partial<IdentityFlags>,
  environment: Readonly<Record<string, string>> = {},
  hasBootstrap = false,
) {
  const result = identitySettings({ ...NONE, ...flags }, environment, hasBootstrap);
  return result.ok ? result.value : result.error;
}

test("without any word of it a sidecar has no identity", () => {
  assert.equal(settings({}), undefined);
  assert.equal(settings({}, { HEDDLE_JOIN_TOKEN: "hjt_x", SPIFFE_ENDPOINT_SOCKET: "" }), undefined);
});

test("an identity of the authority: who it is known by, and what we prove ourselves with", () => {
  assert.deepEqual(settings({ caBundle: "ca.pem", joinTokenFile: "token", identityDir: "/var/lib/x" }), {
    source: {
      type: "authority",
      caBundle: "ca.pem",
      address: undefined,
      tokens: { serviceAccountTokenFile: undefined, joinTokenFile: "token", joinToken: undefined },
      keptIn: "/var/lib/x",
      renewAtPercent: undefined,
    },
    serveAt: undefined,
  });
  const fromEnvironment = settings({}, { HEDDLE_CA_BUNDLE: "env.pem", HEDDLE_JOIN_TOKEN: "hjt_x" });
  assert.ok(fromEnvironment !== undefined && "source" in fromEnvironment);
  assert.ok(fromEnvironment.source.type === "authority");
  assert.equal(fromEnvironment.source.caBundle, "env.pem");
  assert.equal(fromEnvironment.source.tokens.joinToken, "hjt_x");
});

test("flags that mean nothing alone, or contradict each other, are refused with the reason", () => {
  assert.deepEqual(settings({ joinTokenFile: "t", workloadApi: "/x" }), [
    "--join-token-file needs --ca-bundle (HEDDLE_CA_BUNDLE): by whom the control plane is known",
    "--workload-api needs --ca-bundle (HEDDLE_CA_BUNDLE): by whom the control plane is known",
  ]);
  assert.deepEqual(settings({ caBundle: "ca.pem" }), [
    "--ca-bundle needs something to prove who we are: --service-account-token, --join-token-file or HEDDLE_JOIN_TOKEN",
  ]);
  assert.deepEqual(settings({ caBundle: "ca.pem", joinTokenFile: "t", serviceAccountToken: "s" }), [
    "--service-account-token and --join-token-file exclude each other",
  ]);
  assert.deepEqual(settings({ caBundle: "ca.pem", spiffeEndpointSocket: "/s" }), [
    "--ca-bundle and --spiffe-endpoint-socket exclude each other: one of them says who we are",
  ]);
  assert.deepEqual(settings({ caBundle: "ca.pem", joinTokenFile: "t" }, {}, true), [
    "with a bootstrap --ca-bundle needs --ca-address: where the authority is asked",
  ]);
});

test("Workload Endpoint §4: the agent is found by SPIFFE_ENDPOINT_SOCKET; a flag counts more, and so does our own authority", () => {
  const environment = { SPIFFE_ENDPOINT_SOCKET: "unix:///run/spire/agent.sock" };
  assert.deepEqual(settings({}, environment), {
    source: { type: "workload-api", target: "unix:/run/spire/agent.sock" },
    serveAt: undefined,
  });
  assert.deepEqual(settings({ spiffeEndpointSocket: "/other.sock", workloadApi: "/own.sock" }, environment), {
    source: { type: "workload-api", target: "unix:/other.sock" },
    serveAt: "/own.sock",
  });
  const ours = settings({ caBundle: "ca.pem", joinTokenFile: "t" }, environment);
  assert.ok(ours !== undefined && "source" in ours && ours.source.type === "authority");
});

test("Workload Endpoint §4: a Unix socket with an absolute path, or an IP address with a port, and nothing else", () => {
  const targets = Object.fromEntries(
    [
      "unix:///run/spire/agent.sock",
      "unix:/run/spire/agent.sock",
      "/run/agent.sock",
      "tcp://127.0.0.1:8000",
      "tcp://[::1]:8000",
      "unix://run/agent.sock",
      "unix://",
      "tcp://localhost:8000",
      "tcp://127.0.0.1",
      "tcp://127.0.0.1:8000/",
      "tcp://127.0.0.1:8000/path",
      "tcp://u:p@127.0.0.1:8000",
      "unix:///a?b",
      "http://127.0.0.1:1",
      "agent.sock",
    ].map((text) => {
      const target = workloadApiTarget(text);
      return [text, target.ok ? target.value : "refused"];
    }),
  );
  assert.deepEqual(targets, {
    "unix:///run/spire/agent.sock": "unix:/run/spire/agent.sock",
    "unix:/run/spire/agent.sock": "unix:/run/spire/agent.sock",
    "/run/agent.sock": "unix:/run/agent.sock",
    "tcp://127.0.0.1:8000": "ipv4:127.0.0.1:8000",
    "tcp://[::1]:8000": "ipv6:[::1]:8000",
    "unix://run/agent.sock": "refused",
    "unix://": "refused",
    "tcp://localhost:8000": "refused",
    "tcp://127.0.0.1": "refused",
    "tcp://127.0.0.1:8000/": "refused",
    "tcp://127.0.0.1:8000/path": "refused",
    "tcp://u:p@127.0.0.1:8000": "refused",
    "unix:///a?b": "refused",
    "http://127.0.0.1:1": "refused",
    "agent.sock": "refused",
  });
});
