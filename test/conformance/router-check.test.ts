import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead, type ResponseHead } from "@heddle/http";
import {
  compileHeaderMatcher,
  compileRouteConfiguration,
  type HeaderFormatContext,
  type HeaderMatcherConfig,
  headerValue,
  type RouteConfiguration,
  type RouteEntry,
  type RouteTable,
  type SelectedRoute,
} from "@heddle/traffic";
import { logSourceOf } from "@heddle/traffic/testing";
import { makeResourceTypes, resourceFromJson } from "@heddle/xds";
import { parse } from "yaml";
import { vectors } from "./vectors.ts";

/*
 * The cases of Envoy's router_check_tool: a route configuration, requests, and what Envoy decides. Not compared:
 * `virtual_cluster_name`, which is about statistics that we do not have.
 */

/** Configurations that use what is not honoured yet: the decoder has to refuse them and name it. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  DynamicMetadata: /dynamic_metadata/,
};

/** Fields that are not honoured yet and that no case is about: they are taken out. */
const LEFT_OUT = ["internal_only_headers"];

/** Cases in which the tool differs from Envoy itself, with the reason. */
const DIFFERENT: Readonly<Record<string, string>> = {
  "Runtime/Test_4":
    "the tool counts a random value that equals the numerator in; Envoy's evaluateFractionalPercent does not",
};

interface Case {
  readonly test_name: string;
  readonly input: {
    readonly authority: string;
    readonly path: string;
    readonly method: string;
    readonly random_value?: number;
    readonly ssl?: boolean;
    readonly internal?: boolean;
    readonly runtime?: string;
    readonly additional_request_headers?: readonly { readonly key: string; readonly value: string }[];
  };
  readonly validate: {
    readonly cluster_name?: string;
    readonly virtual_host_name?: string;
    readonly host_rewrite?: string;
    readonly path_rewrite?: string;
    readonly path_redirect?: string;
    readonly code_redirect?: number;
    readonly request_header_matches?: readonly HeaderMatch[];
    readonly response_header_matches?: readonly HeaderMatch[];
  };
}

interface HeaderMatch {
  readonly name: string;
  readonly string_match?: { readonly exact: string };
  readonly range_match?: { readonly start: number; readonly end: number };
  readonly present_match?: boolean;
  readonly invert_match?: boolean;
}

const files = vectors.skip === false ? readdirSync(vectors.file("router_check")) : [];

describe("router check", { skip: vectors.skip }, () => {
  for (const file of files.filter((name) => name.endsWith(".yaml"))) {
    const name = basename(file, ".yaml");
    const refused = REFUSED[name];
    if (refused !== undefined) {
      it(`${name} is refused, naming what is not honoured`, () => {
        const result = decode(name);
        assert.ok(!result.ok && result.error.some((reason) => refused.test(reason)));
      });
      continue;
    }
    for (const check of cases(name)) {
      const different = DIFFERENT[`${name}/${check.test_name}`];
      it(`${name}: ${check.test_name}`, () => {
        const mistakes = mistakesOf(table(name, check), check);
        if (different === undefined) assert.deepEqual(mistakes, []);
        else assert.notDeepEqual(mistakes, [], different);
      });
    }
  }

  it("a case that Envoy's own suite wants to fail does fail", () => {
    const check = cases("TestRoutesFailures")[0]!;
    assert.notDeepEqual(mistakesOf(table("TestRoutes", check), check), []);
  });

  it("has all the cases there are", () => {
    const names = files.filter((file) => file.endsWith(".golden.proto.json")).map((file) => file.split(".")[0]!);
    assert.equal(
      names.reduce((count, name) => count + cases(name).length, 0),
      103,
    );
  });
});

/** JSON with comments and trailing commas, so it is read as the YAML that it nearly is. */
function cases(name: string): readonly Case[] {
  const text = readFileSync(vectors.file(`router_check/${name}.golden.proto.json`), "utf8");
  return (parse(text.replaceAll("\t", "  ")) as { readonly tests: readonly Case[] }).tests;
}

function decode(name: string) {
  const config: Record<string, unknown> = parse(
    readFileSync(vectors.file(`router_check/${name}.yaml`), "utf8"),
    durationsAsText,
  );
  for (const field of LEFT_OUT) delete config[field];
  const resource = resourceFromJson({
    ...config,
    name,
    "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  });
  assert.ok(resource.ok, resource.ok ? "" : JSON.stringify(resource.error));
  return makeResourceTypes({ httpFilters: "unchecked" })["route-configuration"].decode(resource.value.bytes);
}

/** The files write durations as messages, which proto JSON does not know (it has "30s") and Envoy's reader lets pass. */
function durationsAsText(key: unknown, value: unknown): unknown {
  if (key !== "timeout" || typeof value !== "object" || value === null) return value;
  const { seconds = 0, nanos = 0 } = value as { readonly seconds?: number; readonly nanos?: number };
  return `${seconds + nanos / 1e9}s`;
}

/** The tool's runtime switches every fraction off, except in the cases that name its key. */
function table(name: string, { input }: Case): RouteTable {
  const decoded = decode(name);
  assert.ok(decoded.ok, decoded.ok ? "" : decoded.error.join("\n"));
  const { config } = decoded.value;
  return compileRouteConfiguration(input.runtime === undefined ? withoutFractions(config) : config);
}

function withoutFractions(config: RouteConfiguration): RouteConfiguration {
  const off = (route: RouteEntry): RouteEntry => {
    const { runtimeFraction } = route.match;
    if (runtimeFraction === undefined) return route;
    return { ...route, match: { ...route.match, runtimeFraction: { ...runtimeFraction, numerator: 0 } } };
  };
  return { ...config, virtualHosts: config.virtualHosts.map((host) => ({ ...host, routes: host.routes.map(off) })) };
}

/** What differs from the case's expectations. In them an empty string means "none". */
function mistakesOf(routes: RouteTable, { input, validate }: Case): readonly string[] {
  const scheme = input.ssl === true ? "https" : "http";
  const headers = new HeaderMap(["x-forwarded-proto", scheme]);
  if (input.internal === true) headers.append("x-envoy-internal", "true");
  const pseudo = new Map<string, string>();
  for (const { key, value } of input.additional_request_headers ?? []) {
    if (key.startsWith(":")) pseudo.set(key, value);
    else headers.append(key.toLowerCase(), value);
  }
  const head = new RequestHead(pseudo.get(":method") ?? input.method, scheme, input.authority, input.path, headers);
  const route = routes.match(head, input.random_value ?? 0);

  const mistakes: string[] = [];
  const compare = (what: string, actual: string | number, expected: string | number | undefined): void => {
    if (expected !== undefined && actual !== expected) mistakes.push(`${what}: ${actual}, expected ${expected}`);
  };
  const forwards = route?.entry.action.type === "forward";
  compare("redirect", location(route, head), validate.path_redirect);
  compare("code", statusOf(route), validate.code_redirect);
  const response = responseHeaders(route, head);
  if (forwards) route.finalizeRequest(head, context(head), false);
  compare("cluster", route?.cluster ?? "", validate.cluster_name);
  compare("virtual host", forwards ? route.virtualHost : "", validate.virtual_host_name);
  compare("host", forwards ? head.authority : "", validate.host_rewrite);
  compare("path", forwards ? head.path : "", validate.path_rewrite);
  mistakes.push(
    ...unmatched(head, validate.request_header_matches),
    ...unmatched(response, validate.response_header_matches),
  );
  return mistakes;
}

/** The tool asks direct responses for a location too, and gets the request's own address. */
function location(route: SelectedRoute | undefined, head: RequestHead): string {
  if (route?.entry.action.type === "direct-response") return `${head.scheme}://${head.authority}${head.path}`;
  return route?.redirectLocation(head) ?? "";
}

function statusOf(route: SelectedRoute | undefined): ResponseHead["status"] {
  if (route?.entry.action.type === "direct-response") return route.entry.action.status;
  return route?.redirect?.responseCode ?? 0;
}

/** The headers of the local answer (or of an empty upstream one), after the route's mutations. */
function responseHeaders(route: SelectedRoute | undefined, head: RequestHead): RequestHead {
  const headers = new HeaderMap();
  const body = route?.entry.action.type === "direct-response" ? route.entry.action.body : "";
  if (body !== "") {
    headers.set("content-length", String(Buffer.byteLength(body)));
    headers.set("content-type", "text/plain");
  }
  route?.finalizeResponse(headers, context(head));
  return new RequestHead("", "http", "", "", headers); // matchers take a head
}

function unmatched(head: RequestHead, matches: readonly HeaderMatch[] = []): readonly string[] {
  return (
    matches
      .map((match) =>
        compileHeaderMatcher({
          name: match.name.toLowerCase(),
          match: matchOf(match),
          invert: match.invert_match === true,
          treatMissingHeaderAsEmpty: false,
        }),
      )
      // Envoy makes one value of a well-known field (content-type) when it appends; ours stay two, which say the same (RFC 9110 §5.3).
      .filter((matcher) => !matcher.test(headerValue(head, matcher.name)))
      .map((matcher) => `not so: ${matcher.toString()}`)
  );
}

function matchOf(match: HeaderMatch): HeaderMatcherConfig["match"] {
  if (match.string_match !== undefined) {
    return { type: "string", matcher: { type: "exact", value: match.string_match.exact, ignoreCase: false } };
  }
  if (match.range_match !== undefined) return { type: "range", ...match.range_match };
  return { type: "present", present: match.present_match ?? true };
}

function context(request: RequestHead): HeaderFormatContext {
  const address = "127.0.0.1";
  return {
    logSource: logSourceOf(request, {
      downstreamRemoteAddress: address,
      downstreamRemotePort: 4711,
      downstreamDirectRemoteAddress: address,
      downstreamLocalAddress: address,
      downstreamLocalPort: 80,
    }),
  };
}
