import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { parseYamlDocuments } from "@heddle/config";
import { HeaderMap, RequestHead } from "@heddle/http";
import { compileRouteConfiguration, type RouteTable } from "@heddle/traffic";
import { Mesh, type MeshObject } from "./model/mesh.ts";
import { isRoute, type Route } from "./model/route.ts";
import { readObjects } from "./read/read-objects.ts";
import { outboundRouteConfiguration, serviceVirtualHost } from "./translate/routes.ts";
import { reachable } from "./translate/scope.ts";

/*
 * The manifests and expectations of Gateway API's own conformance tests. The mesh's run as they are; of a gateway's, those
 * that are about matching and changing requests run with the gateway's place taken by a service named "subject" (not
 * HTTPRouteMatchingAcrossRoutes, whose routes differ by the hostnames that a mesh ignores, nor GRPCRouteRequestHeaderModifier, of
 * whose cases several are the same request).
 */

const named = process.env["HEDDLE_VECTORS"];
const folder = resolve(named ?? join(import.meta.dirname, "../../../../shared/vectors"), "gateway-api");
if (named !== undefined && !existsSync(folder)) throw new Error(`HEDDLE_VECTORS has no gateway-api: ${folder}`);
const skip = existsSync(folder) ? false : "no test vectors: HEDDLE_VECTORS is not set and the default folder is absent";

const MESH = [
  "MeshHTTPRoute303Redirect",
  "MeshHTTPRoute308Redirect",
  "MeshHTTPRouteNamedRule",
  "MeshHTTPRouteQueryParamMatching",
  "MeshHTTPRouteRedirectHostAndStatus",
  "MeshHTTPRouteRedirectPath",
  "MeshHTTPRouteRedirectPort",
  "MeshHTTPRouteRequestHeaderModifier",
  "MeshHTTPRouteSimpleSameNamespace",
  "MeshPorts",
  "MeshTrafficSplit",
];

const GATEWAY = [
  "GRPCExactMethodMatching",
  "GRPCRouteHeaderMatching",
  "HTTPRouteExactPathMatching",
  "HTTPRouteHeaderMatching",
  "HTTPRouteInvalidReferenceGrant",
  "HTTPRouteMatching",
  "HTTPRouteMethodMatching",
  "HTTPRoutePartiallyInvalidViaInvalidReferenceGrant",
  "HTTPRoutePathMatchOrder",
  "HTTPRouteQueryParamMatching",
  "HTTPRouteReferenceGrant",
  "HTTPRouteRequestHeaderModifier",
  "HTTPRouteResponseHeaderModifier",
  "HTTPRouteRewriteHost",
  "HTTPRouteRewritePath",
];

describe("Gateway API's vectors", { skip }, () => {
  it("reading all manifests never crashes, and every fault has a place", () => {
    let objects = 0;
    for (const file of readdirSync(join(folder, "manifests"), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".yaml")) continue;
      const documents = parseYamlDocuments(file, readFileSync(join(folder, "manifests", file), "utf8"));
      for (const document of documents.ok ? documents.value : []) {
        const read = readObjects(document);
        objects += read.objects.length;
        for (const { line, column } of read.diagnostics) assert.ok(line > 0 && column > 0, file);
      }
    }
    assert.ok(objects > 150, `${objects} objects were read`);
  });

  const cases = skip === false ? (JSON.parse(readFileSync(join(folder, "cases.json"), "utf8")) as Suite[]) : [];
  for (const suite of cases) {
    if (MESH.includes(suite.ShortName))
      it(suite.ShortName, () => run(suite, "gateway-conformance-mesh", "echo", asTheyAre));
    if (GATEWAY.includes(suite.ShortName))
      it(suite.ShortName, () => run(suite, "gateway-conformance-infra", "subject", atSubject));
  }
});

interface Suite {
  readonly ShortName: string;
  readonly Manifests: readonly string[];
  readonly cases: readonly Case[];
}

interface Case {
  readonly Backend?: string;
  readonly Request?: Message;
  readonly ExpectedRequest?: { readonly Request?: Message; readonly AbsentHeaders?: readonly string[] };
  readonly BackendSetResponseHeaders?: Readonly<Record<string, string>>;
  readonly Response?: {
    readonly StatusCode?: number;
    readonly StatusCodes?: readonly number[];
    readonly Headers?: Readonly<Record<string, string>>;
    readonly AbsentHeaders?: readonly string[];
  };
  readonly RedirectRequest?: {
    readonly Scheme?: string;
    readonly Host?: string;
    readonly Port?: string;
    readonly Path?: string;
  };
}

/** A case of a GRPCRoute: the method is in the name of its request. */
interface GrpcCase extends Case {
  readonly EchoRequest?: object;
  readonly EchoTwoRequest?: object;
  readonly EchoThreeRequest?: object;
  readonly RequestMetadata?: { readonly Metadata?: Readonly<Record<string, string>> };
}

interface Message {
  readonly Host?: string;
  readonly Method?: string;
  readonly Path?: string;
  readonly Headers?: Readonly<Record<string, string>>;
}

function run(
  suite: Suite,
  namespace: string,
  host: string,
  adapt: (objects: readonly MeshObject[]) => readonly MeshObject[],
): void {
  const base = namespace.endsWith("mesh") ? "mesh/manifests.yaml" : "base/manifests.yaml";
  const objects = [base, ...suite.Manifests].flatMap(objectsIn);
  const mesh = new Mesh(adapt(objects));
  const { called } = reachable(mesh, { namespace, egress: undefined, demanded: [], onDemand: true });
  const hosts = called.map(({ service, port, routes }) => serviceVirtualHost(service, port, routes, namespace));
  const table = compileRouteConfiguration(outboundRouteConfiguration(hosts, true));
  let ran = 0;
  for (const listed of suite.cases) {
    const one = suite.ShortName.startsWith("GRPC") ? asHttp(listed) : listed;
    if (suite.ShortName === "HTTPRouteReferenceGrant" && one !== suite.cases[0]) continue; // the grant has been deleted
    if (JSON.stringify(one).includes('"$')) continue; // an expectation that the vectors could not resolve
    check(table, one, host);
    ran += 1;
  }
  assert.ok(ran > 0, "no case of it can be run");
}

function asHttp(one: GrpcCase): Case {
  const { EchoTwoRequest, EchoThreeRequest, RequestMetadata, Response, Backend } = one;
  const method = EchoThreeRequest ? "EchoThree" : EchoTwoRequest ? "EchoTwo" : "Echo";
  const Path = `/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/${method}`;
  const isRouted = JSON.stringify(Response ?? {}).includes("$Unimplemented") === false;
  return {
    ...(Backend !== undefined && { Backend }),
    Request: { Method: "POST", Path, Headers: RequestMetadata?.Metadata ?? {} },
    Response: { StatusCode: isRouted ? 200 : 404 },
  };
}

function check(table: RouteTable, one: Case, defaultHost: string): void {
  const what = JSON.stringify(one);
  const { Method = "GET", Path = "/", Headers = {} } = one.Request ?? {};
  const asked = one.Request?.Host ?? "";
  // A gateway's hosts are its listener's; here the service's name stands for it.
  const host = defaultHost === "subject" || asked === "" ? defaultHost : asked;
  const head = new RequestHead(Method, "http", host, Path, HeaderMap.from(Headers));
  const route = table.match(head, 0);
  const status = one.Response?.StatusCode ?? 200;
  if (status === 404) {
    assert.equal(route, undefined, what);
    return;
  }
  assert.ok(route !== undefined, what);
  if (one.RedirectRequest !== undefined) {
    assert.equal(route.redirect?.responseCode, status, what);
    checkLocation(new URL(route.redirectLocation(head) ?? ""), one.RedirectRequest, host, what);
    return;
  }
  if (status === 500) {
    assert.deepEqual(route.entry.action, { type: "direct-response", status, body: "" }, what);
    return;
  }
  assert.equal(status, 200, what);
  if (one.Backend !== undefined) assert.ok(route.cluster.includes(`/${one.Backend}.`), `${route.cluster}: ${what}`);
  route.finalizeRequest(head, CONTEXT, false);
  const { Request: seen = {}, AbsentHeaders = [] } = one.ExpectedRequest ?? {};
  // HTTPRouteNamedRule's second expectation names the path of its first: nothing in its manifest rewrites "/unnamed".
  if (seen.Path !== undefined && Path !== "/unnamed") assert.equal(head.path, seen.Path, what);
  if (seen.Host !== undefined && seen.Host !== asked) assert.equal(head.authority, seen.Host, what);
  checkHeaders(head.headers, seen.Headers ?? {}, AbsentHeaders, what);
  const response = HeaderMap.from(one.BackendSetResponseHeaders ?? {});
  route.finalizeResponse(response, CONTEXT);
  checkHeaders(response, one.Response?.Headers ?? {}, one.Response?.AbsentHeaders ?? [], what);
}

function checkHeaders(
  headers: HeaderMap,
  present: Readonly<Record<string, string>>,
  absent: readonly string[],
  what: string,
): void {
  for (const [name, value] of Object.entries(present)) assert.equal(headers.joined(name.toLowerCase()), value, what);
  for (const name of absent) assert.equal(headers.has(name.toLowerCase()), false, what);
}

function checkLocation(url: URL, expected: NonNullable<Case["RedirectRequest"]>, host: string, what: string): void {
  assert.equal(url.hostname, expected.Host ?? host, what);
  if (expected.Port !== undefined) assert.equal(url.port, expected.Port, what);
  if (expected.Path !== undefined) assert.equal(url.pathname, expected.Path, what);
  if (expected.Scheme !== undefined) assert.equal(url.protocol, `${expected.Scheme}:`, what);
}

const CONTEXT = {} as Parameters<NonNullable<ReturnType<RouteTable["match"]>>["finalizeRequest"]>[1]; // no command stands in these values

function objectsIn(file: string): readonly MeshObject[] {
  const path = join(folder, "manifests", file);
  const documents = parseYamlDocuments(file, readFileSync(path, "utf8"));
  assert.ok(documents.ok, file);
  return documents.value.flatMap((document) => {
    const { objects, diagnostics } = readObjects(document);
    assert.deepEqual(
      diagnostics.filter(({ severity }) => severity === "error"),
      [],
      file,
    );
    return objects;
  });
}

function asTheyAre(objects: readonly MeshObject[]): readonly MeshObject[] {
  return objects;
}

/** Attaches every route to a service, as if it stood in the gateway's place. */
function atSubject(objects: readonly MeshObject[]): readonly MeshObject[] {
  const origin = { file: "", line: 0, column: 0, path: "" };
  const namespace = "gateway-conformance-infra";
  const routes: readonly Route[] = objects.filter(isRoute);
  return [
    ...objects.filter(({ kind }) => kind === "service" || kind === "reference-grant"),
    {
      kind: "service",
      namespace,
      name: "subject",
      selector: undefined,
      ports: [{ name: "", port: 80, protocol: "http", detect: false, target: { type: "unset" } }],
      clusterIps: [],
      headless: false,
      ipFamilies: [],
      externalName: undefined,
      origin,
    },
    ...routes.map((route) => ({ ...route, parents: [{ namespace, name: "subject", port: undefined, origin }] })),
  ];
}
