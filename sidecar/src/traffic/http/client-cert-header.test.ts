import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderMap } from "@heddle/http";
import type { CertificateFacts, TlsInfo } from "@heddle/net";
import { defaultManners, type HttpManners } from "@heddle/traffic";
import { ClientCertHeader } from "./client-cert-header.ts";

const ALL = { subject: true, cert: true, chain: true, dns: true, uri: true };

function certificate(facts: Partial<CertificateFacts>): CertificateFacts {
  return {
    subject: "",
    issuer: "",
    serialNumber: "",
    uriSans: [],
    dnsSans: [],
    emailSans: [],
    ipSans: [],
    validFromMs: 0,
    validToMs: 0,
    fingerprintSha256: "ab12",
    fingerprintSha1: "",
    pem: "-----BEGIN\n+/=",
    ...facts,
  };
}

function tls(peer: Partial<CertificateFacts> | undefined): TlsInfo {
  const shown = peer && certificate(peer);
  return {
    version: "TLSv1.3",
    cipher: "",
    group: "",
    serverName: "",
    sessionId: "",
    resumed: false,
    peer: shown,
    peerVerified: true,
    peerChain: shown === undefined ? [] : [shown, shown],
    local: certificate({ uriSans: ["spiffe://td/ns/a/sa/us", "spiffe://other"] }),
  };
}

function headerIn(manners: Partial<HttpManners>, info: TlsInfo | undefined, before?: string): string | undefined {
  const header = ClientCertHeader.of({ ...defaultManners, ...manners });
  assert.ok(header !== undefined);
  const headers = new HeaderMap(before === undefined || !header.keeps(info) ? [] : ["x-forwarded-client-cert", before]);
  header.apply(headers, info);
  return headers.get("x-forwarded-client-cert");
}

const set = { forwardClientCertDetails: "SANITIZE_SET" } as const;
const client = { subject: "CN=a\\, b", uriSans: ["spiffe://td/ns/b/sa/c"], dnsSans: ["c.example", "d.example"] };

test("what we have seen of a client is told in Envoy's order, and as much of it as is asked for", () => {
  assert.equal(headerIn(set, tls(client)), "By=spiffe://td/ns/a/sa/us;Hash=ab12");
  const pem = "-----BEGIN%0A%2B%2F%3D";
  assert.equal(
    headerIn({ ...set, currentClientCert: ALL }, tls(client)),
    `By=spiffe://td/ns/a/sa/us;Hash=ab12;Cert="${pem}";Chain="${pem}${pem}";Subject="CN=a\\, b";URI=spiffe://td/ns/b/sa/c;DNS=c.example;DNS=d.example`,
  );
  const nothing = { ...ALL, cert: false, chain: false };
  assert.equal(
    headerIn({ ...set, currentClientCert: nothing }, tls({})),
    'By=spiffe://td/ns/a/sa/us;Hash=ab12;Subject="";URI=',
  );
});

test("CVE-2023-27493: a certificate cannot make up another element, header or line", () => {
  const evil = { subject: 'CN=\\"\u00e4\r\n', uriSans: ['spiffe://td/x;URI=spiffe://td/admin,By="y"\\'] };
  const header = headerIn({ ...set, currentClientCert: { ...ALL, cert: false, chain: false } }, tls(evil));
  assert.equal(
    header,
    'By=spiffe://td/ns/a/sa/us;Hash=ab12;Subject="CN=\\"\u00c3\u00a4";URI="spiffe://td/x;URI=spiffe://td/admin,By=\\"y\\"\\\\"',
  );
});

test("what came along is kept from a client with a certificate alone, and only where it may speak for others", () => {
  for (const [mode, kept] of [
    ["FORWARD_ONLY", "Hash=00"],
    ["APPEND_FORWARD", "Hash=00,By=spiffe://td/ns/a/sa/us;Hash=ab12"],
    ["SANITIZE_SET", "By=spiffe://td/ns/a/sa/us;Hash=ab12"],
  ] as const) {
    assert.equal(headerIn({ forwardClientCertDetails: mode }, tls(client), "Hash=00"), kept, mode);
    assert.equal(headerIn({ forwardClientCertDetails: mode }, tls(undefined), "Hash=00"), undefined, mode);
    assert.equal(headerIn({ forwardClientCertDetails: mode }, undefined, "Hash=00"), undefined, mode);
  }
  assert.equal(ClientCertHeader.of(defaultManners), undefined);
});
