import assert from "node:assert/strict";
import { test } from "node:test";
import { captureSettingsFromAnnotations } from "./annotations.ts";
import { captureArguments, settingsFromFlags } from "./arguments.ts";
import { type CaptureSettings, DEFAULT_CAPTURE_SETTINGS, formatCaptureDiagnostic } from "./settings.ts";

const annotated = (annotations: Record<string, string>): CaptureSettings => {
  const result = captureSettingsFromAnnotations(
    Object.fromEntries(Object.entries(annotations).map(([name, value]) => [`heddle.dev/${name}`, value])),
  );
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
};

/** As a shell and the command read them. */
const flagsOf = (args: readonly string[]): Record<string, string> =>
  Object.fromEntries(args.map((arg) => arg.replace(/^--/, "").split(/=(.*)/s, 2) as [string, string]));

test("a pod without annotations has the defaults: everything in and out, and DNS", () => {
  assert.deepEqual(captureSettingsFromAnnotations(undefined), { ok: true, value: DEFAULT_CAPTURE_SETTINGS });
  assert.deepEqual(captureSettingsFromAnnotations({ "heddle.dev/inject": "true", other: "x" }), {
    ok: true,
    value: DEFAULT_CAPTURE_SETTINGS,
  });
  assert.deepEqual(captureArguments(DEFAULT_CAPTURE_SETTINGS), ["--mode=redirect"]);
});

test("ports are lists, ranges, everything or nothing; what overlaps or touches becomes one", () => {
  const { inbound, outbound } = annotated({
    "include-inbound-ports": " 8080,80 , 8000-8079,81",
    "exclude-inbound-ports": "",
    "include-outbound-ports": "*",
    "exclude-outbound-ports": "6379,6379",
  });
  assert.deepEqual(inbound.includePorts, [
    { first: 80, last: 81 },
    { first: 8000, last: 8080 },
  ]);
  assert.deepEqual(inbound.excludePorts, []);
  assert.equal(outbound.includePorts, "*");
  assert.deepEqual(outbound.excludePorts, [{ first: 6379, last: 6379 }]);
});

test("CIDRs of both families: a block within another goes, an address alone is a block of one", () => {
  const { outbound } = annotated({
    "include-outbound-cidrs": "2001:db8:1::/48, 10.1.2.3/8,10.9.0.0/16,2001:db8::/32,192.0.2.1,::/128",
    "exclude-outbound-cidrs": "::/0,0.0.0.0/0",
  });
  assert.deepEqual(outbound.includeCidrs, ["10.0.0.0/8", "192.0.2.1/32", "::/128", "2001:db8::/32"]);
  assert.deepEqual(outbound.excludeCidrs, ["0.0.0.0/0", "::/0"]);
});

test("mode and DNS by annotation", () => {
  const { mode, ports } = annotated({ capture: "tproxy", "capture-dns": "false" });
  assert.equal(mode, "tproxy");
  assert.equal(ports.dns, undefined);
  assert.equal(annotated({ "capture-dns": "true" }).ports.dns, 15_053);
});

test("every value that is not understood is told with its place, what was found and what is allowed", () => {
  const result = captureSettingsFromAnnotations({
    "heddle.dev/capture": "Redirect",
    "heddle.dev/exclude-inbound-ports": "80,http",
    "heddle.dev/include-outbound-ports": "0",
    "heddle.dev/exclude-outbound-ports": "80-70",
    "heddle.dev/exclude-outbound-cidrs": "10.0.0.0/33",
    "heddle.dev/inner-interfaces": "tap0;drop",
    "heddle.dev/capture-dns": "yes",
  });
  assert.ok(!result.ok);
  const lists = '"*", or a list of ports and ranges from 1 to 65535 such as "80,8000-8100"; empty for none';
  assert.deepEqual(result.error.map(formatCaptureDiagnostic), [
    'metadata.annotations["heddle.dev/capture"]: found "Redirect", allowed: redirect, tproxy, none',
    `metadata.annotations["heddle.dev/exclude-inbound-ports"]: found "http", allowed: ${lists}`,
    `metadata.annotations["heddle.dev/include-outbound-ports"]: found "0", allowed: ${lists}`,
    `metadata.annotations["heddle.dev/exclude-outbound-ports"]: found "80-70", allowed: ${lists}`,
    'metadata.annotations["heddle.dev/exclude-outbound-cidrs"]: found "10.0.0.0/33", allowed: "*", or a list of addresses and blocks such as "10.0.0.0/8,2001:db8::/32"; empty for none',
    'metadata.annotations["heddle.dev/capture-dns"]: found "yes", allowed: true, false',
    'metadata.annotations["heddle.dev/inner-interfaces"]: found "tap0;drop", allowed: a list of names of interfaces, at most 15 letters, digits, dots, dashes and underscores each',
  ]);
});

test("an annotation that is no text is told, since the API server is not the only one who makes pods", () => {
  const result = captureSettingsFromAnnotations({ "heddle.dev/capture-dns": true } as never);
  assert.ok(!result.ok);
  assert.equal(result.error[0]?.found, "true");
});

test("arguments and flags are each other's inverse", () => {
  for (const settings of [
    DEFAULT_CAPTURE_SETTINGS,
    annotated({ capture: "none" }),
    annotated({
      capture: "tproxy",
      "include-inbound-ports": "",
      "exclude-outbound-ports": "1-65535",
      "include-outbound-cidrs": "",
      "exclude-outbound-cidrs": "10.0.0.0/8,fd00::/8",
      "capture-dns": "false",
      "inner-interfaces": "tap0,k6t-eth0",
    }),
    {
      ...DEFAULT_CAPTURE_SETTINGS,
      proxyUid: 5678,
      proxyGid: 5679,
      ports: { inbound: 1, outbound: 2, dns: 3 },
      dnsServers: ["10.96.0.10", "fd00::a"],
      ipv4: "on",
      ipv6: "off",
    } satisfies CaptureSettings,
  ]) {
    assert.deepEqual(settingsFromFlags(flagsOf(captureArguments(settings))), { ok: true, value: settings });
  }
});

test("flags: user 0, port 0 and a server with a zone are refused by their flag", () => {
  const result = settingsFromFlags({ "proxy-uid": "0", "inbound-port": "0", "dns-servers": "fe80::1%eth0" });
  assert.ok(!result.ok);
  assert.deepEqual(
    result.error.map(({ path, found }) => `${path} ${found}`),
    ["--proxy-uid 0", "--inbound-port 0", "--dns-servers fe80::1%eth0"],
  );
});
