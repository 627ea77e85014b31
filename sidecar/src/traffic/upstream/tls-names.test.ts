import assert from "node:assert/strict";
import { test } from "node:test";
import { bareHost, fitsMatch, matchWish, serverNameOf, verifiedNameOf } from "./tls-names.ts";

test("a host has no port, no brackets and no capitals", () => {
  for (const [authority, host] of [
    ["Shop.example", "shop.example"],
    ["shop.example:8443", "shop.example"],
    ["127.0.0.1:80", "127.0.0.1"],
    ["[::1]", "::1"],
    ["[::1]:443", "::1"],
    ["", ""],
  ] as const)
    assert.equal(bareHost(authority), host);
});

const tls = { sni: "fixed.example", autoHostSni: true, autoSniSanValidation: false };
const byHost = { autoSni: true, autoSanValidation: true, overrideHeader: "" };
const named = { hostname: "endpoint.example" };
const nameless = { hostname: "" };

test("the server's name is the request's host, else the endpoint's name, else the configured one; an address is none", () => {
  assert.equal(serverNameOf(tls, byHost, named, "shop.example"), "shop.example");
  for (const host of ["127.0.0.1", "::1", "", undefined]) {
    assert.equal(serverNameOf(tls, byHost, named, host), "endpoint.example");
    assert.equal(serverNameOf(tls, byHost, nameless, host), "fixed.example");
  }
  assert.equal(serverNameOf(tls, undefined, named, "shop.example"), "endpoint.example");
  assert.equal(serverNameOf({ ...tls, autoHostSni: false }, undefined, named, undefined), "fixed.example");
});

test("verified is the request's host, an address too, or the name that was asked for, or what the rules say", () => {
  assert.equal(verifiedNameOf(tls, byHost, "fixed.example", "::1"), "::1");
  assert.equal(verifiedNameOf(tls, byHost, "fixed.example", undefined), undefined);
  assert.equal(verifiedNameOf(tls, undefined, "fixed.example", "shop.example"), undefined);
  const own = { ...tls, autoSniSanValidation: true };
  assert.equal(verifiedNameOf(own, undefined, "fixed.example", "shop.example"), "fixed.example");
});

test("an endpoint fits a match whose every value its own metadata has", () => {
  const fits = (told: object, match: object): boolean =>
    fitsMatch({ metadata: { "envoy.transport_socket_match": told } } as never, matchWish({ match } as never));
  assert.ok(fits({ tls: "yes", other: 1 }, { tls: "yes" }));
  assert.ok(fits({}, {}));
  assert.ok(!fits({ tls: "no" }, { tls: "yes" }));
  assert.ok(!fits({}, { tls: null }));
  assert.ok(!fits({}, { toString: "yes" }));
  assert.ok(!fitsMatch({ metadata: {} }, matchWish({ match: { tls: "yes" } })));
});
