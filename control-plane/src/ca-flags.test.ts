import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFlags } from "./flags.ts";

test("a trust domain alone makes an authority with what is usual", () => {
  assert.deepEqual(read("--trust-domain cluster.local"), {
    trustDomain: "cluster.local",
    tlsAddress: { host: "127.0.0.1", port: 15_012 },
    tlsNames: [],
    svidTtlMs: 86_400_000,
    renewalGraceMs: 86_400_000,
    passphraseFile: undefined,
    files: undefined,
    joinTokensFile: undefined,
    tokenReview: undefined,
    tokenAudience: "heddle",
    bundleEndpoint: undefined,
    federated: [],
  });
});

test("everything about the authority is read", () => {
  const words =
    "--trust-domain example.org --trust-domain-alias old.org --xds-tls-address 0.0.0.0:1 --tls-san CP.example.org --tls-san 10.0.0.1 --svid-ttl 10s --renewal-grace 0s --ca-certificate c --ca-key k --ca-root r --join-tokens j --token-review in-cluster --token-audience mesh --bundle-endpoint-address 0.0.0.0:2 --bundle-endpoint-certificate bc --bundle-endpoint-key bk --federate b.org=https://b.org/x,ca=bca --federate c.org=https://10.0.0.3:8443,bundle=cb";
  assert.deepEqual(read(words), {
    trustDomain: "example.org",
    trustDomainAliases: ["old.org"],
    tlsAddress: { host: "0.0.0.0", port: 1 },
    tlsNames: ["cp.example.org", "10.0.0.1"],
    svidTtlMs: 10_000,
    renewalGraceMs: 0,
    passphraseFile: undefined,
    files: { certificateFile: "c", keyFile: "k", rootFile: "r" },
    joinTokensFile: "j",
    tokenAudience: "mesh",
    tokenReview: {
      url: "https://kubernetes.default.svc",
      caFile: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
      tokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token",
      audience: "mesh",
    },
    bundleEndpoint: {
      address: { host: "0.0.0.0", port: 2 },
      certificate: { certificateFile: "bc", keyFile: "bk" },
    },
    federated: [
      { trustDomain: "b.org", url: "https://b.org/x", caFile: "bca", spiffe: undefined },
      {
        trustDomain: "c.org",
        url: "https://10.0.0.3:8443/",
        caFile: undefined,
        spiffe: { id: { trustDomain: "c.org", path: "/ns/heddle-system/sa/control-plane" }, bundleFile: "cb" },
      },
    ],
  });
});

for (const [words, fault] of [
  ["--svid-ttl 1h", "--svid-ttl: needs --trust-domain, without which there is no authority"],
  [
    "--trust-domain Example.org",
    /^--trust-domain: found "Example.org", which has a trust domain with other characters/,
  ],
  ["--trust-domain spiffe://a", /^--trust-domain: /],
  ["--trust-domain a --svid-ttl 1s", '--svid-ttl: found "1s", allowed: 2s to 2160h'],
  ["--trust-domain a --svid-ttl day", /^--svid-ttl: "day" is not a duration/],
  ["--trust-domain a --tls-san a/b", '--tls-san: found "a/b", allowed: a DNS name or an IP address'],
  ["--trust-domain a --serving-names web=a", /^--serving-names: found "web=a", allowed: NAMESPACE\/ACCOUNT=NAME/],
  ["--trust-domain a --serving-names b/web=a/b", /^--serving-names: found "b\/web=a\/b"/],
  ["--trust-domain a --serving-names b/web=c --serving-names b/web=d", "--serving-names: found b/web a second time"],
  ["--trust-domain a --ca-key k", "--ca-certificate and --ca-key go together"],
  ["--trust-domain a --ca-root r", "--ca-root: needs --ca-certificate"],
  ["--trust-domain a --ca-certificate c --ca-key k --ca-passphrase-file p", /^--ca-passphrase-file: is for a root/],
  [
    "--trust-domain a --token-review http://a",
    '--token-review: found "http://a", allowed: in-cluster, https://HOST:PORT',
  ],
  ["--trust-domain a --token-audience x", "--token-audience: needs --token-review"],
  ["--trust-domain a --federate a=https://b", "--federate: a is the own trust domain, for which nobody else speaks"],
  ["--trust-domain a --federate b=http://b", /^--federate: found "b=http:\/\/b", allowed: NAME=https:/],
  ["--trust-domain a --federate b=https://b,id=spiffe://b/x", "--federate: id goes with bundle"],
  ["--trust-domain a --federate b=https://b,bundle=f,id=spiffe://c/x", "--federate: id: allowed is one of b"],
  ["--trust-domain a --bundle-endpoint-key k", /^--bundle-endpoint-certificate and/],
] as const)
  test(`refused: ${words}`, () => {
    const parsed = parseFlags(["--config", "c", ...words.split(" ")]);
    assert.ok(!parsed.ok && parsed.error.length === 1);
    if (typeof fault === "string") assert.equal(parsed.error[0], fault);
    else assert.match(parsed.error[0]!, fault);
  });

test("DNS names of an account's certificates", () => {
  const ca = read("--trust-domain a --serving-names b/web=One.b.svc,two.b.svc --serving-names c/d=x");
  assert.deepEqual(
    [...(ca?.servingNames ?? [])],
    [
      ["/ns/b/sa/web", ["one.b.svc", "two.b.svc"]],
      ["/ns/c/sa/d", ["x"]],
    ],
  );
});

function read(words: string) {
  const parsed = parseFlags(["--config", "c", ...words.split(" ")]);
  assert.ok(parsed.ok && parsed.value.type === "run", JSON.stringify(parsed));
  return parsed.value.flags.ca;
}
