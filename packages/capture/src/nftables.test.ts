import assert from "node:assert/strict";
import { test } from "node:test";
import { captureSettingsFromAnnotations } from "./annotations.ts";
import { nftablesDifference, nftablesRules, nftablesUndo, nftTableFamilyOf, nftTablesPresent } from "./nftables.ts";
import { type CapturePlace, type ResolvedCapture, resolveCapture } from "./resolve-capture.ts";

const place: CapturePlace = { hasIpv4: true, hasIpv6: true, resolvConf: "nameserver 10.96.0.10\n" };

function resolved(annotations: Record<string, string>, at = place): ResolvedCapture {
  const named = Object.entries(annotations).map(([name, value]) => [`heddle.dev/${name}`, value]);
  const settings = captureSettingsFromAnnotations(Object.fromEntries(named));
  assert.ok(settings.ok);
  const result = resolveCapture(settings.value, at);
  assert.ok(result.ok && result.value !== undefined);
  return result.value;
}

test("nftables: everything in and out, and DNS of the server in resolv.conf", () => {
  assert.equal(nftablesRules(resolved({}), []), EVERYTHING);
});

test("nftables: TPROXY keeps addresses, and tells the sidecar's own connections on loopback by a mark", () => {
  assert.equal(nftablesRules(resolved({ capture: "tproxy", "capture-dns": "false" }), []), TPROXY);
});

const selected = {
  "include-inbound-ports": "80,8000-8100",
  "exclude-inbound-ports": "22",
  "include-outbound-ports": "80,443",
  "exclude-outbound-ports": "5432",
  "include-outbound-cidrs": "10.0.0.0/8",
  "exclude-outbound-cidrs": "10.9.0.0/16,fd00:9::/32",
  "inner-interfaces": "tap0",
};

test("nftables: ports and CIDRs are elements of sets, so that rules stay as many", () => {
  assert.equal(nftablesRules(resolved(selected), []), SELECTED);
  const many = { ...selected, "exclude-outbound-ports": Array.from({ length: 500 }, (_, i) => 2 * i + 1001).join(",") };
  assert.equal(nftablesRules(resolved(many), []).split("\n").length, SELECTED.split("\n").length);
});

test("nftables: tables that are there are replaced in the same transaction", () => {
  const text = nftablesRules(resolved({}), ["inet", "ip"]);
  assert.equal(text, `delete table inet heddle\ndelete table ip heddle\n${EVERYTHING}`);
  assert.equal(nftablesUndo(["ip6"]), "delete table ip6 heddle\n");
  assert.equal(nftablesUndo([]), "");
});

test("nftables: only tables of our very name are ours", () => {
  assert.deepEqual(nftTablesPresent("table inet heddle\ntable ip heddle2\ntable ip nat\ntable bridge heddle\n"), [
    "inet",
  ]);
  assert.deepEqual(nftTablesPresent(""), []);
});

test("nftables: a kernel without IPv6 gets a table of IPv4 alone, without a word of IPv6", () => {
  const capture = resolved(selected, { ...place, hasIpv6: false });
  assert.equal(nftTableFamilyOf(capture), "ip");
  const text = nftablesRules(capture, []);
  assert.ok(text.startsWith("table ip heddle {\n"));
  assert.doesNotMatch(text, /ip6|ipv6|::/);
});

test("nftables: where nothing is included, nothing is redirected", () => {
  const text = nftablesRules(resolved({ "include-inbound-ports": "", "exclude-outbound-ports": "*" }), []);
  assert.doesNotMatch(text, /redirect to/);
  assert.match(nftablesRules(resolved({ "include-outbound-cidrs": "" }), []), /redirect to :15006/);
  assert.doesNotMatch(nftablesRules(resolved({ "include-outbound-cidrs": "" }), []), /redirect to :15001/);
});

test("nftables: who excludes port 53 keeps their DNS", () => {
  assert.doesNotMatch(nftablesRules(resolved({ "exclude-outbound-ports": "50-60" }), []), /redirect to :15053/);
});

test("nftables: rules in force are compared by chain and comment, and by the hash of the settings", () => {
  const capture = resolved({});
  const drop = (comment: string): string =>
    EVERYTHING.split("\n")
      .filter((line) => !line.includes(comment))
      .join("\n");
  assert.equal(nftablesDifference(capture, EVERYTHING), undefined);
  assert.equal(nftablesDifference(resolved(selected), EVERYTHING), "the rules in force are of other settings");
  assert.equal(
    nftablesDifference(capture, drop('what the application sends"')),
    'the rule "output: what the application sends" is missing',
  );
  const foreign = EVERYTHING.replace("\t\tmeta skuid", "\t\ttcp dport 99 return\n\t\tmeta skuid");
  assert.equal(nftablesDifference(capture, foreign), 'the rule "output: tcp dport 99 return" is not of these settings');
});

const EVERYTHING = `table inet heddle {
	chain settings_783478cf6779cd84 {
	}
	set excluded_inbound_ports {
		type inet_service
		flags interval
		elements = { 15000-15001, 15006, 15020-15021, 15053 }
	}
	set dns_servers_ipv4 {
		type ipv4_addr
		flags interval
		elements = { 10.96.0.10 }
	}
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr 127.0.0.0/8 return comment "loopback: the kernel drops it"
		fib daddr type local meta l4proto tcp goto inbound comment "what others send to this pod"
	}
	chain inbound {
		tcp dport @excluded_inbound_ports return comment "ports that are excluded"
		meta l4proto tcp redirect to :15006 comment "to the sidecar"
	}
	chain output {
		type nat hook output priority -100; policy accept;
		oifname "lo" ip saddr 127.0.0.6 return comment "ipv4 from the sidecar to the application"
		oifname "lo" ip6 saddr ::6 return comment "ipv6 from the sidecar to the application"
		meta skuid 1337 goto own comment "the sidecar's user"
		meta skgid 1337 goto own comment "the sidecar's group"
		meta l4proto { tcp, udp } th dport 53 jump dns comment "questions of DNS"
		oifname "lo" return comment "what the application sends to itself"
		meta l4proto tcp goto outbound comment "what the application sends"
	}
	chain own {
		oifname != "lo" return comment "to others"
		ip daddr 127.0.0.0/8 return comment "ipv4 loopback"
		ip6 daddr ::1 return comment "ipv6 loopback"
		meta l4proto tcp goto inbound comment "to its own pod"
	}
	chain dns {
		ip daddr != @dns_servers_ipv4 return comment "ipv4 servers that are not named"
		meta nfproto ipv6 return comment "ipv6 servers that are not named"
		meta l4proto { tcp, udp } redirect to :15053 comment "to the sidecar"
	}
	chain outbound {
		meta l4proto tcp redirect to :15001 comment "to the sidecar"
	}
	chain raw_output {
		type filter hook output priority -300; policy accept;
		ip daddr @dns_servers_ipv4 udp dport 53 meta skuid 1337 ct zone set 1 comment "ipv4 questions of the sidecar's user"
		ip daddr @dns_servers_ipv4 udp dport 53 meta skgid 1337 ct zone set 1 comment "ipv4 questions of the sidecar's group"
	}
	chain raw_prerouting {
		type filter hook prerouting priority -300; policy accept;
		ip saddr @dns_servers_ipv4 udp sport 53 ct zone set 1 comment "ipv4 answers of servers"
	}
	chain guard {
		type filter hook input priority 0; policy accept;
		iifname "lo" return comment "from this pod"
		ct status dnat return comment "redirected"
		meta l4proto { tcp, udp } th dport { 15006, 15001, 15053 } drop comment "dialled from outside"
	}
}
`;

const TPROXY = `table inet heddle {
	chain settings_a784b7cde3e7d078 {
	}
	set excluded_inbound_ports {
		type inet_service
		flags interval
		elements = { 15000-15001, 15006, 15020-15021 }
	}
	chain prerouting {
		type filter hook prerouting priority -150; policy accept;
		socket transparent 1 meta mark set 1337 accept comment "connections that the sidecar has"
		iifname "lo" meta mark 1338 goto inbound comment "what the sidecar sends to its own pod"
		iifname "lo" return comment "what the application sends to itself"
		ct direction original fib daddr type local meta l4proto tcp goto inbound comment "what others send to this pod"
	}
	chain inbound {
		tcp dport @excluded_inbound_ports return comment "ports that are excluded"
		meta l4proto tcp tproxy to :15006 meta mark set 1337 accept comment "to the sidecar"
	}
	chain route_output {
		type route hook output priority -150; policy accept;
		ct direction reply ct mark 1337 meta mark set 1337 accept comment "answers to clients whose address the sidecar has used"
		meta skuid 1337 oifname "lo" meta l4proto tcp ct direction original goto own_output comment "the sidecar's user"
		meta skgid 1337 oifname "lo" meta l4proto tcp ct direction original goto own_output comment "the sidecar's group"
	}
	chain own_output {
		ip daddr 127.0.0.0/8 return comment "ipv4 loopback"
		ip6 daddr ::1 return comment "ipv6 loopback"
		meta mark 1337 ct mark set 1337 accept comment "marked as from the client's address"
		fib saddr type != local ct mark set 1337 accept comment "sent from a client's address"
		oifname "lo" ip saddr 127.0.0.6 return comment "ipv4 from the sidecar to the application"
		oifname "lo" ip6 saddr ::6 return comment "ipv6 from the sidecar to the application"
		meta mark set 1338 comment "from the sidecar to its own pod"
	}
	chain output {
		type nat hook output priority -100; policy accept;
		meta skuid 1337 return comment "the sidecar's user"
		meta skgid 1337 return comment "the sidecar's group"
		oifname "lo" return comment "what the application sends to itself"
		meta l4proto tcp goto outbound comment "what the application sends"
	}
	chain outbound {
		meta l4proto tcp redirect to :15001 comment "to the sidecar"
	}
	chain guard {
		type filter hook input priority 0; policy accept;
		iifname "lo" return comment "from this pod"
		ct status dnat return comment "redirected"
		meta l4proto { tcp, udp } th dport { 15006, 15001 } drop comment "dialled from outside"
	}
}
`;

const SELECTED = `table inet heddle {
	chain settings_a7407cd3c2ba6a73 {
	}
	set excluded_inbound_ports {
		type inet_service
		flags interval
		elements = { 22, 15000-15001, 15006, 15020-15021, 15053 }
	}
	set included_inbound_ports {
		type inet_service
		flags interval
		elements = { 80, 8000-8100 }
	}
	set excluded_outbound_ports {
		type inet_service
		flags interval
		elements = { 5432 }
	}
	set included_outbound_ports {
		type inet_service
		flags interval
		elements = { 80, 443 }
	}
	set excluded_cidrs_ipv4 {
		type ipv4_addr
		flags interval
		elements = { 10.9.0.0/16 }
	}
	set excluded_cidrs_ipv6 {
		type ipv6_addr
		flags interval
		elements = { fd00:9::/32 }
	}
	set included_cidrs_ipv4 {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8 }
	}
	set dns_servers_ipv4 {
		type ipv4_addr
		flags interval
		elements = { 10.96.0.10 }
	}
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr 127.0.0.0/8 return comment "loopback: the kernel drops it"
		iifname { "tap0" } meta l4proto tcp goto outbound comment "what virtual machines inside send"
		fib daddr type local meta l4proto tcp goto inbound comment "what others send to this pod"
	}
	chain inbound {
		tcp dport @excluded_inbound_ports return comment "ports that are excluded"
		tcp dport != @included_inbound_ports return comment "ports that are not included"
		meta l4proto tcp redirect to :15006 comment "to the sidecar"
	}
	chain output {
		type nat hook output priority -100; policy accept;
		oifname "lo" ip saddr 127.0.0.6 return comment "ipv4 from the sidecar to the application"
		oifname "lo" ip6 saddr ::6 return comment "ipv6 from the sidecar to the application"
		meta skuid 1337 goto own comment "the sidecar's user"
		meta skgid 1337 goto own comment "the sidecar's group"
		meta l4proto { tcp, udp } th dport 53 jump dns comment "questions of DNS"
		oifname "lo" return comment "what the application sends to itself"
		meta l4proto tcp goto outbound comment "what the application sends"
	}
	chain own {
		oifname != "lo" return comment "to others"
		ip daddr 127.0.0.0/8 return comment "ipv4 loopback"
		ip6 daddr ::1 return comment "ipv6 loopback"
		meta l4proto tcp goto inbound comment "to its own pod"
	}
	chain dns {
		ip daddr @excluded_cidrs_ipv4 return comment "ipv4 addresses that are excluded"
		ip6 daddr @excluded_cidrs_ipv6 return comment "ipv6 addresses that are excluded"
		ip daddr != @dns_servers_ipv4 return comment "ipv4 servers that are not named"
		meta nfproto ipv6 return comment "ipv6 servers that are not named"
		meta l4proto { tcp, udp } redirect to :15053 comment "to the sidecar"
	}
	chain outbound {
		tcp dport @excluded_outbound_ports return comment "ports that are excluded"
		tcp dport != @included_outbound_ports return comment "ports that are not included"
		ip daddr @excluded_cidrs_ipv4 return comment "ipv4 addresses that are excluded"
		ip6 daddr @excluded_cidrs_ipv6 return comment "ipv6 addresses that are excluded"
		ip daddr != @included_cidrs_ipv4 return comment "ipv4 addresses that are not included"
		meta nfproto ipv6 return comment "ipv6 addresses that are not included"
		meta l4proto tcp redirect to :15001 comment "to the sidecar"
	}
	chain raw_output {
		type filter hook output priority -300; policy accept;
		ip daddr @dns_servers_ipv4 udp dport 53 meta skuid 1337 ct zone set 1 comment "ipv4 questions of the sidecar's user"
		ip daddr @dns_servers_ipv4 udp dport 53 meta skgid 1337 ct zone set 1 comment "ipv4 questions of the sidecar's group"
	}
	chain raw_prerouting {
		type filter hook prerouting priority -300; policy accept;
		ip saddr @dns_servers_ipv4 udp sport 53 ct zone set 1 comment "ipv4 answers of servers"
	}
	chain guard {
		type filter hook input priority 0; policy accept;
		iifname "lo" return comment "from this pod"
		ct status dnat return comment "redirected"
		meta l4proto { tcp, udp } th dport { 15006, 15001, 15053 } drop comment "dialled from outside"
	}
}
`;
