import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canonicalPath, normalizeTarget, type PathNormalizationOptions } from "./path-normalization.ts";

const ALL: PathNormalizationOptions = {
  normalizePath: true,
  mergeSlashes: true,
  pathWithEscapedSlashesAction: "UNESCAPE_AND_FORWARD",
};
const NONE: PathNormalizationOptions = {
  normalizePath: false,
  mergeSlashes: false,
  pathWithEscapedSlashesAction: "KEEP_UNCHANGED",
};

describe("path normalisation", () => {
  it("gives one form to all the ways of writing a path", () => {
    for (const target of [
      "/x/../admin",
      "/%61dmin",
      "//admin",
      "/./admin",
      "/x/%2e%2E/admin",
      "/x\\..\\admin",
      "/x%2f..%2fadmin",
    ]) {
      assert.deepEqual(
        normalizeTarget(`${target}?a=/../b`, ALL),
        { type: "changed", target: "/admin?a=/../b" },
        target,
      );
    }
  });

  it("CVE-2026-73551: takes dot segments with parameters for dot segments", () => {
    for (const target of ["/x/..;/admin", "/x/..;a=b/admin", "/x/%2e%2E;/admin", "/.;x/admin", "/x/.;/..;;/admin"])
      assert.deepEqual(normalizeTarget(target, ALL), { type: "changed", target: "/admin" }, target);
    assert.equal(canonicalPath("/a/..;"), "/");
    assert.equal(canonicalPath("/a/...;x/..b;/;"), "/a/...;x/..b;/;");
  });

  it("RFC 3986 §6.2.2.2: decodes escapes of unreserved characters, and no others", () => {
    for (let code = 1; code < 256; code++) {
      const character = String.fromCharCode(code);
      const digits = code.toString(16).padStart(2, "0");
      for (const escaped of [`%${digits}`, `%${digits.toUpperCase()}`])
        assert.equal(canonicalPath(`/a${escaped}b`), `/a${/[A-Za-z0-9._~-]/.test(character) ? character : escaped}b`);
    }
  });

  it("RFC 3986 §3.3: escapes what may stand nowhere in a path, so that both ways of writing it are one", () => {
    for (const character of '"<>^`{|}') {
      const form = `/a%${character.charCodeAt(0).toString(16).toUpperCase()}b`;
      assert.deepEqual(normalizeTarget(`/a${character}b?${character}`, ALL), {
        type: "changed",
        target: `${form}?${character}`,
      });
      assert.equal(normalizeTarget(form, ALL).type, "unchanged");
      assert.equal(normalizeTarget(`/a${character}b`, NONE).type, "unchanged");
    }
    assert.equal(normalizeTarget("/!$&'()*+,-.0:;=@[]_~", ALL).type, "unchanged");
  });

  it("leaves alone what is in order, without asking further", () => {
    for (const target of ["/", "/a/b.c/d", "/a?x=//..%2f", "*", ""]) {
      assert.equal(normalizeTarget(target, ALL).type, "unchanged", target);
    }
    assert.equal(normalizeTarget("/a/%2f//..\\b", NONE).type, "unchanged");
  });

  it("refuses fragments and escaped NULs", () => {
    assert.equal(normalizeTarget("/a#b", NONE).type, "reject");
    assert.equal(normalizeTarget("/a?b#c", NONE).type, "reject");
    assert.equal(normalizeTarget("/a%00", ALL).type, "reject");
  });

  it("refuses or redirects escaped slashes when told to", () => {
    const target = "/a%2Fb%5cc";
    const act = (pathWithEscapedSlashesAction: PathNormalizationOptions["pathWithEscapedSlashesAction"]) =>
      normalizeTarget(target, { ...NONE, pathWithEscapedSlashesAction });
    assert.equal(act("REJECT_REQUEST").type, "reject");
    assert.deepEqual(act("UNESCAPE_AND_REDIRECT"), { type: "redirect", target: "/a/b\\c" });
    assert.deepEqual(act("UNESCAPE_AND_FORWARD"), { type: "changed", target: "/a/b\\c" });
    assert.equal(act("KEEP_UNCHANGED").type, "unchanged");
  });

  it("never leaves a dot segment, and what it gives is a fixed point unless an escape hid another", () => {
    const piece = fc.constantFrom("a", "..", ".", "%2e", "%2E.", "/", "\\", "%41", "%2f", "b;c", ";");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const path = canonicalPath(`/${pieces.join("")}`)!;
        assert.ok(path.startsWith("/"));
        assert.ok(!path.split("/").some((segment) => /^\.\.?(;|$)/.test(segment)), path);
        assert.equal(canonicalPath(path), path);
      }),
      { seed: 11, numRuns: 300 },
    );
  });
});
