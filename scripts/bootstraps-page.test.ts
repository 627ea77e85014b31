import assert from "node:assert/strict";
import { test } from "node:test";
import type { Diagnostic } from "@heddle/config";
import { bootstrapsPage, needOf } from "./bootstraps-page.ts";

function diagnostic(severity: Diagnostic["severity"], path: string, message: string): Diagnostic {
  return { severity, file: "f", line: 3, column: 1, path, message };
}

test("the page counts what runs and what is refused, and says why of each", () => {
  const tls = diagnostic(
    "error",
    "static_resources.clusters[0].transport_socket",
    '"envoy.transport_sockets.tls" is not',
  );
  const page = bootstrapsPage([
    { name: "a.yaml", errors: [], warnings: [] },
    { name: "b.yaml", errors: [], warnings: [diagnostic("warning", "cluster_manager", "has no effect")] },
    { name: "c.yaml", errors: [tls, tls], warnings: [] },
  ]);
  assert.match(page, /\| run, everything in them honoured \| 1 \|/);
  assert.match(page, /\| run, with fields that are reported and have no effect \| 1 \|/);
  assert.match(page, /\| refused, each field with its reason \| 1 \|/);
  assert.match(page, /\| TLS \| 1 \|/);
  assert.match(page, /\| b\.yaml \| runs, reported \| 3: `cluster_manager`: has no effect \|/);
});

test("a need is named by what was refused", () => {
  const filter = diagnostic(
    "error",
    "x.typed_config",
    "there is no filter envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
  );
  assert.equal(needOf(filter), "the filter csrf");
  assert.equal(needOf(diagnostic("error", "static_resources.listeners[0].freebind", "is not supported")), "`freebind`");
  const tap = diagnostic("error", "x.transport_socket", '"envoy.transport_sockets.tap" is not supported');
  assert.equal(needOf(tap), "the transport socket tap");
});
