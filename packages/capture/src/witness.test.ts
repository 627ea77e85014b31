import assert from "node:assert/strict";
import { test } from "node:test";
import { settingsFromFlags } from "./arguments.ts";
import { resolveCapture } from "./resolve-capture.ts";
import { captureWitness } from "./witness.ts";

function witnesses(flags: Readonly<Record<string, string>> = {}): readonly [ipv4: unknown, ipv6: unknown] {
  const settings = settingsFromFlags(flags);
  assert.ok(settings.ok);
  const resolved = resolveCapture(settings.value, { hasIpv4: true, hasIpv6: true, resolvConf: undefined });
  assert.ok(resolved.ok && resolved.value !== undefined);
  const { value } = resolved;
  const text = (family: "ipv4" | "ipv6"): unknown => {
    const witness = captureWitness(value, family);
    if (witness === undefined) return undefined;
    const { address, port, arrivesAt, asProxy } = witness;
    return `${asProxy ? "proxy" : "other"} ${address ?? "self"} ${port} > ${arrivesAt}`;
  };
  return [text("ipv4"), text("ipv6")];
}

test("what the application would send to nobody is tried, by a port and an address that are captured", () => {
  const standard = ["other 192.0.2.1 80 > 15001", "other 2001:db8::1 80 > 15001"];
  assert.deepEqual(witnesses(), standard);
  assert.deepEqual(witnesses({ mode: "tproxy" }), standard);
  for (const [flags, ipv4] of [
    [{ "exclude-outbound-ports": "1-100" }, "other 192.0.2.1 443 > 15001"],
    [{ "exclude-outbound-ports": "80,443,8080" }, "other 192.0.2.1 1 > 15001"],
    [{ "include-outbound-ports": "53,9000-9001" }, "other 192.0.2.1 9000 > 15001"],
    [{ "exclude-outbound-cidrs": "192.0.2.0/24" }, "other 198.51.100.1 80 > 15001"],
    [{ "include-outbound-cidrs": "10.0.0.0/8,10.96.0.0/12" }, "other 10.0.0.1 80 > 15001"],
    [
      { "include-outbound-cidrs": "10.0.0.0/8,172.16.0.0/12", "exclude-outbound-cidrs": "10.0.0.0/9" },
      "other 172.16.0.1 80 > 15001",
    ],
    [{ "include-outbound-cidrs": "10.1.2.3" }, "other 10.1.2.3 80 > 15001"],
    [{ "outbound-port": "16001" }, "other 192.0.2.1 80 > 16001"],
  ] as const)
    assert.equal(witnesses(flags)[0], ipv4, JSON.stringify(flags));
});

test("where nothing outbound is captured, what the sidecar sends to its own pod tells; under TPROXY nothing does", () => {
  const inbound = "proxy self 80 > 15006";
  for (const flags of [
    { "exclude-outbound-ports": "*" },
    { "include-outbound-ports": "" },
    { "include-outbound-ports": "53" },
    { "exclude-outbound-cidrs": "*" },
  ]) {
    assert.deepEqual(witnesses(flags), [inbound, inbound], JSON.stringify(flags));
    assert.deepEqual(witnesses({ ...flags, mode: "tproxy" }), [undefined, undefined]);
  }
  const ipv4Only = witnesses({ "include-outbound-cidrs": "10.0.0.0/8" });
  assert.deepEqual(ipv4Only, ["other 10.0.0.1 80 > 15001", inbound]);
  const few = { "exclude-outbound-ports": "*", "include-inbound-ports": "9000" };
  assert.equal(witnesses(few)[0], "proxy self 9000 > 15006");
  assert.deepEqual(witnesses({ "exclude-outbound-ports": "*", "exclude-inbound-ports": "*" }), [undefined, undefined]);
});
