import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { type EnvoyProcess, skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { inlineRoutes, type Json, listener, staticBootstrap } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/*
 * The same rules in a real Envoy and in a sidecar: both are asked the same, and have to give the same answer with the same
 * details. Where we mean something else than Envoy nothing stands here: in the matcher we see the values of a repeated header
 * one by one too, and an inverted matcher is not passed by one of several values (docs/authorization.md).
 */

const T = "type.googleapis.com";
const ANY = { any: true };
const extension = (type: string, fields: Json = {}): Json => ({
  name: "x",
  typed_config: { "@type": `${T}/${type}`, ...fields },
});
const policy = (permission: Json, principal: Json = ANY, more: Json = {}): Json => ({
  permissions: [permission],
  principals: [principal],
  ...more,
});
const rules = (permission: Json, principal: Json = ANY, action = "ALLOW"): Json => ({
  rules: { action, policies: { "the policy": policy(permission, principal) } },
});
const header = (name: string, fields: Json): Json => ({ header: { name, ...fields } });
const path = (match: Json): Json => ({ url_path: { path: match } });
const block = (address_prefix: string, prefix_len: number): Json => ({ address_prefix, prefix_len });
const network = (name: string): Json => extension(`envoy.extensions.matching.common_inputs.network.v3.${name}`);
const headerInput = (header_name: string): Json =>
  extension("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", { header_name });
const act = (name: string, action = "ALLOW"): Json => ({
  action: extension("envoy.config.rbac.v3.Action", { name, action }),
});
const single = (input: Json, value_match: Json): Json => ({ single_predicate: { input, value_match } });
const list = (...matchers: readonly (readonly [predicate: Json, on_match: Json])[]): Json => ({
  matcher: { matcher_list: { matchers: matchers.map(([predicate, on_match]) => ({ predicate, on_match })) } },
});
const tree = (input: Json, fields: Json, more: Json = {}): Json => ({
  matcher: { matcher_tree: { input, ...fields }, ...more },
});
const ident = (name: string): Json => ({ ident_expr: { name } });
const select = (operand: Json, field: string): Json => ({ select_expr: { operand, field } });
const text = (string_value: string): Json => ({ const_expr: { string_value } });
const call = (name: string, ...args: readonly Json[]): Json => ({ call_expr: { function: name, args } });
const request = (field: string): Json => select(ident("request"), field);
const condition = (expr: Json): Json => ({ rules: { policies: { cel: policy(ANY, ANY, { condition: expr }) } } });

const CONFIGS: Readonly<Record<string, Json>> = {
  nothing: {},
  "empty rules": { rules: {} },
  "empty denial": { rules: { action: "DENY" } },
  method: rules(header(":method", { string_match: { exact: "POST" } })),
  "not method": rules({ not_rule: header(":method", { string_match: { exact: "POST" } }) }),
  "header exact": rules(header("x-role", { string_match: { exact: "admin" } })),
  "header denied": rules(header("x-role", { string_match: { exact: "admin" } }), ANY, "DENY"),
  "header any case": rules(header("X-Role", { string_match: { exact: "ADMIN", ignore_case: true } })),
  "header prefix": rules(header("x-role", { string_match: { prefix: "ad" } })),
  "header suffix": rules(header("x-role", { string_match: { suffix: "min" } })),
  "header contains": rules(header("x-role", { string_match: { contains: "dmi" } })),
  "header regex": rules(header("x-role", { string_match: { safe_regex: { regex: "[a-z]+" } } })),
  "header regex, denied": rules(
    header("x-note", { string_match: { safe_regex: { regex: ".*marker.*" } } }),
    ANY,
    "DENY",
  ),
  "header regex, dots": rules(header("x-note", { string_match: { safe_regex: { regex: "....." } } })),
  "header present": rules(header("x-role", { present_match: true })),
  "header absent": rules(header("x-role", { present_match: false })),
  "header present, inverted": rules(header("x-role", { present_match: true, invert_match: true })),
  "header inverted": rules(header("x-one", { string_match: { exact: "1" }, invert_match: true })),
  "header missing is empty": rules(
    header("x-one", { string_match: { exact: "" }, treat_missing_header_as_empty: true }),
  ),
  "header missing is empty, inverted": rules(
    header("x-one", { string_match: { exact: "1" }, invert_match: true, treat_missing_header_as_empty: true }),
  ),
  "header range": rules(header("x-one", { range_match: { start: 1, end: 3 } })),
  host: rules(header(":authority", { string_match: { exact: "a.example" } })),
  "path exact": rules(path({ exact: "/admin" }), ANY, "DENY"),
  "path prefix": rules(path({ prefix: "/admin" }), ANY, "DENY"),
  "path regex": rules(path({ safe_regex: { regex: "/adm.n" } })),
  "path any case": rules(path({ exact: "/ADMIN", ignore_case: true })),
  "raw path": rules(header(":path", { string_match: { exact: "/admin?x=1" } })),
  template: rules({
    uri_template: {
      name: "envoy.path.match.uri_template.uri_template_matcher",
      typed_config: {
        "@type": `${T}/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig`,
        path_template: "/a/{x}/*",
      },
    },
  }),
  "template of everything": rules({
    uri_template: {
      name: "envoy.path.match.uri_template.uri_template_matcher",
      typed_config: {
        "@type": `${T}/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig`,
        path_template: "/a/{x=**}",
      },
    },
  }),
  "from loopback": rules(ANY, { direct_remote_ip: block("127.0.0.0", 8) }),
  "from elsewhere": rules(ANY, {
    or_ids: { ids: [{ source_ip: block("10.0.0.0", 8) }, { remote_ip: block("::", 0) }] },
  }),
  "remote by header": rules(ANY, { remote_ip: block("10.0.0.0", 8) }),
  "to here": rules({
    and_rules: {
      rules: [{ destination_ip: block("127.0.0.1", 32) }, { destination_port_range: { start: 1024, end: 65536 } }],
    },
  }),
  "other port": rules({ destination_port: 1 }),
  "no certificate": rules(ANY, { authenticated: { principal_name: { safe_regex: { regex: ".*" } } } }),
  "no server name": rules({ requested_server_name: { exact: "" } }),
  "no metadata": rules({ metadata: { filter: "f", path: [{ key: "k" }], value: { present_match: true } } }),
  "no metadata, inverted": rules({
    metadata: { filter: "f", path: [{ key: "k" }], value: { string_match: { exact: "v" } }, invert: true },
  }),
  "several, sorted": {
    rules: {
      action: "DENY",
      policies: { "b b": policy(ANY), B: policy(header("x-role", { present_match: true })), é: policy(ANY) },
    },
  },
  log: { rules: { action: "LOG", policies: { p: policy(header("x-role", { present_match: true })) } } },
  "matcher counts": { ...rules(ANY), ...list([single(headerInput("x-one"), { exact: "1" }), act("m")]) },
  "matcher denies": list(
    [single(headerInput(":path"), { prefix: "/admin" }), act("no admin", "DENY")],
    [single(headerInput(":method"), { exact: "GET" }), act("reads")],
  ),
  "matcher joins": list(
    [
      {
        and_matcher: {
          predicate: [
            single(headerInput("x-role"), { contains: "admin" }),
            single(headerInput(":method"), { exact: "POST" }),
          ],
        },
      },
      act("and"),
    ],
    [
      {
        or_matcher: {
          predicate: [single(headerInput("x-one"), { exact: "1" }), single(headerInput("x-one"), { exact: "2" })],
        },
      },
      act("or"),
    ],
    [{ not_matcher: single(headerInput(":path"), { prefix: "/a" }) }, act("not")],
  ),
  "matcher tree": tree(
    headerInput("x-one"),
    { exact_match_map: { map: { 1: act("a"), 2: act("u", "DENY") } } },
    { on_no_match: act("else") },
  ),
  "matcher prefixes": tree(headerInput(":path"), {
    prefix_match_map: { map: { "/": act("root"), "/admin": act("no", "DENY"), "/admin/open": act("open") } },
  }),
  "matcher goes on": {
    matcher: {
      matcher_list: {
        matchers: [
          {
            predicate: single(headerInput(":method"), { exact: "GET" }),
            on_match: {
              matcher: {
                matcher_tree: { input: headerInput("x-role"), exact_match_map: { map: { admin: act("inner") } } },
              },
            },
          },
        ],
      },
      on_no_match: act("behind"),
    },
  },
  "matcher addresses": tree(network("DirectSourceIPInput"), {
    custom_match: extension("xds.type.matcher.v3.IPMatcher", {
      range_matchers: [
        { ranges: [block("0.0.0.0", 0)], on_match: act("all", "DENY") },
        { ranges: [block("127.0.0.0", 8)], on_match: act("loopback") },
      ],
    }),
  }),
  "cel method": condition(call("_==_", request("method"), text("POST"))),
  "cel path": condition(call("_==_", request("path"), text("/admin?x=1"))),
  "cel url path": condition(call("_==_", request("url_path"), text("/admin"))),
  "cel query": condition(call("_==_", request("query"), text("x=1"))),
  "cel host": condition(call("_==_", request("host"), text("a.example"))),
  "cel header": condition(call("_==_", call("_[_]", request("headers"), text("x-role")), text("admin"))),
  "cel header missing, denied": {
    rules: {
      action: "DENY",
      policies: {
        cel: policy(ANY, ANY, { condition: call("_==_", call("_[_]", request("headers"), text("x-none")), text("a")) }),
      },
    },
  },
  "cel has": condition(call("@in", text("x-role"), request("headers"))),
  "cel protocol": condition(call("_==_", request("protocol"), text("HTTP/1.1"))),
  "cel size": condition(call("_==_", request("size"), { const_expr: { int64_value: "0" } })),
  "cel mtls": condition(call("_==_", select(ident("connection"), "mtls"), { const_expr: { bool_value: false } })),
  "cel useragent": condition({
    call_expr: { target: request("useragent"), function: "matches", args: [text("^cu.l")] },
  }),
  "cel referer": condition(
    call("_||_", call("_==_", request("referer"), text("r")), call("_==_", request("method"), text("POST"))),
  ),
  "cel matcher": list([
    {
      single_predicate: {
        input: extension("xds.type.matcher.v3.HttpAttributesCelMatchInput"),
        custom_match: extension("xds.type.matcher.v3.CelMatcher", {
          expr_match: { parsed_expr: { expr: call("_==_", request("method"), text("POST")) } },
        }),
      },
    },
    act("cel"),
  ]),
};

const REQUESTS: Readonly<Record<string, string>> = {
  plain: "GET / HTTP/1.1\r\nhost: a.example\r\n",
  post: "POST /x HTTP/1.1\r\nhost: b.example\r\ncontent-length: 0\r\n",
  admin: "GET /admin HTTP/1.1\r\nhost: a.example\r\n",
  "admin, asked": "GET /admin?x=1 HTTP/1.1\r\nhost: a.example\r\n",
  "admin, round about": "GET /x/..//%61dmin HTTP/1.1\r\nhost: a.example\r\n",
  "admin, with parameters": "GET /x/..;y/admin HTTP/1.1\r\nhost: a.example\r\n",
  "below admin": "POST /admin/open/x HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n",
  other: "GET /adminx HTTP/1.1\r\nhost: A.example\r\n",
  deep: "GET /a/b/c HTTP/1.1\r\nhost: a.example\r\n",
  deeper: "GET /a/b/c/d HTTP/1.1\r\nhost: a.example\r\n",
  role: "GET / HTTP/1.1\r\nhost: a.example\r\nx-role: admin\r\n",
  "role, posted": "POST / HTTP/1.1\r\nhost: a.example\r\nx-role: admin\r\ncontent-length: 0\r\n",
  "role, shouted": "GET / HTTP/1.1\r\nhost: a.example\r\nX-Role: ADMIN\r\n",
  "role behind another": "GET / HTTP/1.1\r\nhost: a.example\r\nx-role: user\r\nx-role: admin\r\n",
  "roles in a list": "GET / HTTP/1.1\r\nhost: a.example\r\nx-role: user,admin\r\n",
  user: "GET / HTTP/1.1\r\nhost: a.example\r\nx-role: user\r\n",
  "no role": "GET / HTTP/1.1\r\nhost: a.example\r\nx-role:\r\n",
  one: "GET / HTTP/1.1\r\nhost: a.example\r\nx-one: 1\r\nuser-agent: curl\r\n",
  two: "GET / HTTP/1.1\r\nhost: a.example\r\nx-one: 2\r\n",
  note: "GET / HTTP/1.1\r\nhost: a.example\r\nx-note: a marker\r\n",
  "note with a byte": "GET / HTTP/1.1\r\nhost: a.example\r\nx-note: a marker\xff\r\n",
  "note in UTF-8": "GET / HTTP/1.1\r\nhost: a.example\r\nx-note: caf\xc3\xa9\r\n",
  "note in Latin-1": "GET / HTTP/1.1\r\nhost: a.example\r\nx-note: caf\xe9\r\n",
  "by another": "GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: 10.1.2.3\r\n",
};

interface Answer {
  readonly status: number;
  /** Of denials the details, by `local_reply_config`. */
  readonly body: string;
}

/** Does not wait for the end of the connection, which takes a second. */
async function ask(port: number, head: string): Promise<Answer> {
  const socket = connect(port, "127.0.0.1");
  const answered = Promise.withResolvers<Answer>();
  let text = "";
  socket.on("error", answered.reject);
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    const body = text.indexOf("\r\n\r\n") + 4;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
    if (body > 3 && text.length >= body + length)
      answered.resolve({ status: Number(text.slice(9, 12)), body: text.slice(body) });
  });
  socket.write(Buffer.from(`${head}\r\n`, "latin1"));
  const answer = await answered.promise;
  socket.destroy();
  return answer;
}

describe("rules of access beside a real Envoy", { skip: skipWithoutEnvoy }, () => {
  const suite = lastFirst({ after });
  let envoy: EnvoyProcess;
  let sidecar: SidecarProcess;
  before(async () => {
    const routes = inlineRoutes([
      {
        name: "all",
        domains: ["*"],
        routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "hello" } } }],
      },
    ]);
    const http = {
      normalize_path: true,
      merge_slashes: true,
      local_reply_config: { body_format: { text_format_source: { inline_string: "%RESPONSE_CODE_DETAILS%" } } },
    };
    const listeners = Object.entries(CONFIGS).map(([name, config]) =>
      listener({
        name,
        routes,
        http,
        filters: [
          {
            name: "envoy.filters.http.rbac",
            typed_config: { "@type": `${T}/envoy.extensions.filters.http.rbac.v3.RBAC`, ...config },
          },
        ],
      }),
    );
    const bootstrap = staticBootstrap(listeners, []);
    [envoy, sidecar] = await Promise.all([startEnvoy(bootstrap, suite), startSidecar(bootstrap, suite)]);
  });

  for (const name of Object.keys(CONFIGS)) {
    test(name, async () => {
      const [theirs, ours] = await Promise.all([envoy.port(name), sidecar.port(name)]);
      const answers = async (port: number): Promise<Json> =>
        Object.fromEntries(
          await Promise.all(Object.entries(REQUESTS).map(async ([who, head]) => [who, await ask(port, head)] as const)),
        );
      assert.deepEqual(await answers(ours), await answers(theirs));
    });
  }
});
