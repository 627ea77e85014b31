import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultManners, type HttpConnectionManagerConfig } from "@heddle/traffic";
import { clusterType } from "./cluster.ts";
import { makeListenerType } from "./listener.ts";
import { accept, errorsOf, httpFilters, MANAGER, MODULE, ROUTER, reportsOf } from "./testing.ts";

const type = makeListenerType({ httpFilters });
const router = { name: "router", typed_config: { "@type": ROUTER } };
const HCM = "filter_chains[0].filters[0].typed_config";
const XFF = "type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";
const CUSTOM_HEADER =
  "type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig";
const MUTATION = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
const PRESERVE_CASE =
  "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";
const HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const UUID = "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";

function withManager(manager: object): object {
  const route_config = { name: "r" };
  const typed_config = { "@type": MANAGER, stat_prefix: "s", route_config, http_filters: [router], ...manager };
  const address = { socket_address: { address: "0.0.0.0", port_value: 80 } };
  return { name: "l", address, filter_chains: [{ filters: [{ name: "hcm", typed_config }] }] };
}

function read(manager: object): HttpConnectionManagerConfig {
  const filter = accept(type, withManager(manager)).filterChains[0]?.filters[0];
  assert.equal(filter?.type, "http-connection-manager");
  return filter.config;
}

function extension(typed_config: object): object {
  return { name: "x", typed_config };
}

test("what is not set has Envoy's default", () => {
  assert.deepEqual(read({}).manners, defaultManners);
});

test("every field is read", () => {
  const { manners } = read({
    append_x_forwarded_port: true,
    internal_address_config: {
      unix_sockets: true,
      cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }, { address_prefix: "::" }],
    },
    forward_client_cert_details: "ALWAYS_FORWARD_ONLY",
    scheme_header_transformation: { scheme_to_overwrite: "https" },
    strip_trailing_host_dot: true,
    http_protocol_options: { allow_absolute_url: false, allow_custom_methods: true },
    early_header_mutation_extensions: [
      extension({
        "@type": MUTATION,
        mutations: [
          { remove: "X-Debug" },
          { append: { header: { key: "X-Edge", value: "1" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" } },
        ],
      }),
      extension({ "@type": MUTATION, mutations: [{ remove: "x-b" }] }),
    ],
  });
  assert.deepEqual(manners, {
    appendXForwardedPort: true,
    originalIpDetection: [],
    internalAddresses: { unixSockets: true, cidrRanges: ["10.0.0.0/8", "::/0"] },
    forwardClientCertDetails: "ALWAYS_FORWARD_ONLY",
    schemeToOverwrite: "https",
    earlyHeaderMutations: [
      { type: "remove", header: "x-debug" },
      {
        type: "append",
        option: { name: "x-edge", value: "1", appendAction: "OVERWRITE_IF_EXISTS_OR_ADD", keepEmptyValue: false },
      },
      { type: "remove", header: "x-b" },
    ],
    stripTrailingHostDot: true,
    allowAbsoluteUrl: false,
    allowCustomMethods: true,
    headerNames: undefined,
    requestId: { packsTraceReason: true, decidesTrace: true },
    proxyStatus: undefined,
  });
});

test("the name in a proxy-status is the one that is given, else the server's", () => {
  const name = (manager: object): string | undefined => read(manager).manners.proxyStatus?.proxyName;
  assert.equal(name({}), undefined);
  assert.equal(name({ proxy_status_config: {} }), "heddle");
  assert.equal(name({ proxy_status_config: {}, server_name: "gate" }), "gate");
  assert.equal(name({ proxy_status_config: { literal_proxy_name: "p" }, server_name: "gate" }), "p");
});

test("names are written as a format says, in a listener's and in a cluster's options", () => {
  const preserve = (config: object): object => ({
    stateful_formatter: extension({ "@type": PRESERVE_CASE, ...config }),
  });
  for (const [header_key_format, expected] of [
    [{ proper_case_words: {} }, "proper-case"],
    [preserve({}), "preserve-case"],
    [preserve({ formatter_type_on_envoy_headers: "PROPER_CASE" }), "preserve-or-proper-case"],
  ] as const) {
    assert.equal(read({ http_protocol_options: { header_key_format } }).manners.headerNames, expected);
    const cluster = { name: "c", type: "STATIC", load_assignment: { cluster_name: "c" } };
    const options = { "@type": HTTP_OPTIONS, explicit_http_config: { http_protocol_options: { header_key_format } } };
    assert.equal(
      accept(clusterType, { ...cluster, typed_extension_protocol_options: { [HTTP_OPTIONS.slice(20)]: options } })
        .headerNames,
      expected,
    );
    assert.equal(
      accept(clusterType, { ...cluster, http_protocol_options: { header_key_format } }).headerNames,
      expected,
    );
  }
  assert.deepEqual(
    reportsOf(
      type,
      withManager({ http_protocol_options: { header_key_format: preserve({ forward_reason_phrase: false }) } }),
    ),
    [],
  );
});

test("ways to find the client's address are read in their order, and a status that refuses nothing is 403", () => {
  const reject = (code: number): object => ({
    "@type": CUSTOM_HEADER,
    header_name: "X-Client",
    reject_with_status: { code },
  });
  const { manners } = read({
    original_ip_detection_extensions: [
      extension({ "@type": XFF, xff_num_trusted_hops: 2 }),
      extension({ "@type": CUSTOM_HEADER, header_name: "x-a", allow_extension_to_set_address_as_trusted: true }),
      extension(reject(429)),
      extension(reject(200)),
    ],
  });
  assert.deepEqual(manners.originalIpDetection, [
    { type: "xff", trustedHops: 2 },
    { type: "custom-header", header: "x-a", trusted: true, rejectStatus: undefined },
    { type: "custom-header", header: "x-client", trusted: false, rejectStatus: 429 },
    { type: "custom-header", header: "x-client", trusted: false, rejectStatus: 403 },
  ]);
});

test("an upgrade may have a filter chain of its own, which is checked as the others are", () => {
  const module_ = { name: "m", typed_config: { "@type": MODULE, module_path: "a.ts" } };
  const { upgradeConfigs } = read({
    upgrade_configs: [{ upgrade_type: "CONNECT", filters: [module_, router] }, { upgrade_type: "websocket" }],
  });
  assert.deepEqual(
    upgradeConfigs.map(({ upgradeType, filters }) => [upgradeType, filters?.map(({ name }) => name)]),
    [
      ["connect", ["m", "router"]],
      ["websocket", undefined],
    ],
  );
  assert.deepEqual(errorsOf(type, withManager({ upgrade_configs: [{ upgrade_type: "a", filters: [module_] }] })), [
    `${HCM}.upgrade_configs[0].filters[0]: cannot be the last filter; the chain has to end with the router`,
  ]);
});

test("headers for those inside alone are read in a route configuration, in lower case", () => {
  const { routes } = read({ route_config: { name: "r", internal_only_headers: ["X-Secret"] } });
  assert.deepEqual(routes.type === "inline" && routes.routeConfig.internalOnlyHeaders, ["x-secret"]);
});

test("what contradicts itself or is not known is refused by its path", () => {
  const xff = { original_ip_detection_extensions: [extension({ "@type": XFF })] };
  const detection = `${HCM}.original_ip_detection_extensions`;
  const early = `${HCM}.early_header_mutation_extensions[0].typed_config`;
  for (const [manager, error] of [
    [{ ...xff, use_remote_address: true }, `${detection}: excludes "use_remote_address"`],
    [{ ...xff, xff_num_trusted_hops: 1 }, `${detection}: excludes "xff_num_trusted_hops"`],
    [
      { original_ip_detection_extensions: [extension({ "@type": UUID })] },
      `${detection}[0].typed_config: found ${UUID.slice(20)}, allowed is ${XFF.slice(20)} or ${CUSTOM_HEADER.slice(20)}`,
    ],
    [
      { early_header_mutation_extensions: [extension({ "@type": MUTATION, mutations: [{ remove: ":path" }] })] },
      `${early}.mutations[0].remove: ":path" may not be removed`,
    ],
    [
      { request_id_extension: { typed_config: { "@type": XFF } } },
      `${HCM}.request_id_extension.typed_config: found ${XFF.slice(20)}, allowed is ${UUID.slice(20)}`,
    ],
  ] as const) {
    assert.deepEqual(errorsOf(type, withManager(manager)), [error]);
  }
});

test("the extension of request ids is read", () => {
  const of = (config: object): object =>
    read({ request_id_extension: { typed_config: { "@type": UUID, ...config } } }).manners.requestId;
  assert.deepEqual(of({}), { packsTraceReason: true, decidesTrace: true });
  assert.deepEqual(of({ pack_trace_reason: false }), { packsTraceReason: false, decidesTrace: true });
  assert.deepEqual(of({ use_request_id_for_trace_sampling: false }), { packsTraceReason: true, decidesTrace: false });
});
