import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@heddle/base";
import { Mesh } from "@heddle/mesh";
import { worldOf } from "../snapshot/testing.ts";
import { statusFor } from "./conditions.ts";
import { type ReadObject, readKubeObject } from "./object-reader.ts";

const GATEWAY = "gateway.networking.k8s.io";
const NOW = "2026-11-22T00:00:00Z";

const STOCK = `
apiVersion: v1
kind: Service
metadata: { name: stock, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: tcp-db, port: 81 }] }
---
apiVersion: v1
kind: Service
metadata: { name: vault, namespace: pay }
spec: { ports: [{ name: tcp, port: 80 }] }
---
`;
const GRANT = read("ReferenceGrant", "pay", "from-shop", {
  from: [{ group: GATEWAY, kind: "TCPRoute", namespace: "shop" }],
  to: [{ group: "", kind: "Service" }],
});

test("the status of each kind of routes says whether it decides, and whether its backends may have what it sends", () => {
  const http = route("HTTPRoute", "web", { rules: [{ backendRefs: [{ name: "stock", port: 80 }] }] });
  const grpc = route("GRPCRoute", "rpc", { rules: [{ backendRefs: [{ name: "stock", port: 80 }] }] });
  const rule = { backendRefs: [{ name: "vault", namespace: "pay", port: 80 }] };
  const tcp = route("TCPRoute", "db", { rules: [rule] });
  const tls = route("TLSRoute", "tls", {
    hostnames: ["a.example"],
    rules: [{ backendRefs: [{ name: "x", port: 1 }] }],
  });
  const without = meshOf(STOCK, http, grpc, tcp);
  assert.deepEqual(conditionsOf(grpc, without), ["Accepted True Accepted", "ResolvedRefs True ResolvedRefs"]);
  assert.deepEqual(conditionsOf(http, without), ["Accepted False Conflicted", "ResolvedRefs True ResolvedRefs"]);
  assert.deepEqual(
    conditionsOf(tcp, without),
    ["Accepted True Accepted", "ResolvedRefs False RefNotPermitted"],
    "it decides at the port of bytes",
  );
  assert.deepEqual(conditionsOf(tcp, meshOf(STOCK, http, grpc, tcp, GRANT)), [
    "Accepted True Accepted",
    "ResolvedRefs True ResolvedRefs",
  ]);
  assert.deepEqual(conditionsOf(tls, meshOf(STOCK, tls)), [
    "Accepted True Accepted",
    "ResolvedRefs False BackendNotFound",
  ]);
  assert.deepEqual(conditionsOf(tcp, meshOf("", tcp))[0], "Accepted False NoMatchingParent");
});

test("what a route says wrong is in its status, of every kind", () => {
  const filter = { rules: [{ filters: [{ type: "RequestMirror" }] }] };
  assert.deepEqual(
    conditionsOf(route("GRPCRoute", "rpc", filter), meshOf(STOCK))[0],
    "Accepted False UnsupportedValue",
  );
  const secret = { rules: [{ backendRefs: [{ kind: "Secret", name: "s", port: 1 }] }] };
  assert.deepEqual(conditionsOf(route("TCPRoute", "db", secret), meshOf(STOCK)), [
    "Accepted True Accepted",
    "ResolvedRefs False InvalidKind",
  ]);
  const guard = { type: "ExtensionRef", extensionRef: { group: "example.com", kind: "RateLimit", name: "r" } };
  const guarded = { rules: [{ filters: [guard], backendRefs: [{ name: "stock", port: 80 }] }] };
  for (const kind of ["HTTPRoute", "GRPCRoute"])
    assert.deepEqual(conditionsOf(route(kind, "guarded", guarded), meshOf(STOCK)), [
      "Accepted True Accepted",
      "ResolvedRefs False InvalidKind",
    ]);
});

test("a parent may name one of the Service's ports", () => {
  const at = (sectionName: string, port?: number): ReadObject => {
    const parent = { group: "", kind: "Service", name: "stock", sectionName, ...(port !== undefined && { port }) };
    return read("HTTPRoute", "shop", "web", { parentRefs: [parent], rules: [{}] });
  };
  const accepted = (web: ReadObject): string | undefined => conditionsOf(web, meshOf(STOCK, web))[0];
  assert.equal(accepted(at("http")), "Accepted True Accepted");
  assert.equal(accepted(at("http", 80)), "Accepted True Accepted");
  assert.equal(accepted(at("htp")), "Accepted False NoMatchingParent");
  assert.equal(accepted(at("http", 81)), "Accepted False NoMatchingParent", "both have to be those of the port");
});

function route(kind: string, name: string, spec: JsonObject): ReadObject {
  return read(kind, "shop", name, { parentRefs: [{ group: "", kind: "Service", name: "stock" }], ...spec });
}

function read(kind: string, namespace: string, name: string, spec: JsonObject): ReadObject {
  const json = { metadata: { name, namespace, generation: 3 }, spec };
  const object = { json, key: `${namespace}/${name}`, uid: name, resourceVersion: "1" };
  return readKubeObject({ apiVersion: `${GATEWAY}/v1`, kind, hasStatus: true }, object, undefined);
}

function meshOf(yaml: string, ...read: readonly Pick<ReadObject, "object">[]): Mesh {
  const services = yaml === "" ? [] : worldOf(yaml).mesh.services;
  return new Mesh([...services, ...read.flatMap(({ object }) => object ?? [])]);
}

function conditionsOf(read: ReadObject, mesh: Mesh): readonly string[] {
  const parents = statusFor(read, mesh, NOW)?.["parents"] as readonly JsonObject[];
  assert.equal(parents.length, 1);
  return (parents[0]!["conditions"] as readonly Condition[]).map(({ type, status, reason, observedGeneration }) => {
    assert.equal(observedGeneration, 3);
    return `${type} ${status} ${reason}`;
  });
}

type Condition = Readonly<Record<"type" | "status" | "reason", string>> & { readonly observedGeneration: number };
