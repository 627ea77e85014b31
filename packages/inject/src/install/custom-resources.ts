import type { Json, JsonObject } from "@heddle/base";

/*
 * The kinds of heddle.dev, as the API server checks them: structural schemas (OpenAPI v3) of what packages/mesh/src/read takes. A test
 * holds both together. What a schema cannot say cheaply the validating webhook does. None has a default: the API server would write
 * it down, and readers tell what is said from what is left out.
 */

const text = { type: "string", minLength: 1 } as const;
const port = { type: "integer", minimum: 1, maximum: 65_535 } as const;
const label = { type: "string", minLength: 1, maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" } as const;

function listOf(items: JsonObject, more: JsonObject = {}): JsonObject {
  return { type: "array", items, ...more };
}

function object(
  properties: Readonly<Record<string, JsonObject>>,
  required: readonly string[] = [],
  more: JsonObject = {},
): JsonObject {
  return { type: "object", properties, ...(required.length > 0 && { required }), ...more };
}

/** Of a specification: what is not in `properties` is kept. */
function open(
  properties: Readonly<Record<string, JsonObject>>,
  required: readonly string[] = [],
  more: JsonObject = {},
): JsonObject {
  return object(properties, required, { "x-kubernetes-preserve-unknown-fields": true, ...more });
}

const labels: JsonObject = { type: "object", additionalProperties: { type: "string" } };
const selector = open({ matchLabels: labels });
const targetRefs = listOf(
  open(
    {
      group: { type: "string", enum: ["", "core"] },
      kind: { type: "string", enum: ["Service"] },
      name: label,
      namespace: label,
    },
    ["kind", "name"],
  ),
  { minItems: 1 },
);
/** Of both kinds that have either. */
const oneTarget = {
  rule: "!(has(self.selector) && has(self.targetRefs))",
  message: "selector and targetRefs exclude each other",
};

const workload = open(
  {
    addresses: listOf(text, { minItems: 1 }),
    ports: listOf(
      open(
        {
          name: text,
          protocol: { type: "string", enum: ["http", "http2", "grpc", "tcp"] },
          port,
          applicationPort: port,
        },
        ["name", "port"],
        {
          "x-kubernetes-validations": [
            {
              rule: "!has(self.applicationPort) || self.applicationPort != self.port",
              message: "applicationPort is the public port itself",
            },
          ],
        },
      ),
      { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
    ),
    capture: { type: "string", enum: ["redirect", "tproxy"] },
    serviceAccount: { type: "string", minLength: 1, maxLength: 253 },
    locality: open({ region: { type: "string" }, zone: { type: "string" }, subZone: { type: "string" } }),
    egress: listOf({ type: "string", pattern: "^(\\*|([a-z0-9-]+|\\*)\\.[a-z0-9-]+|[a-z0-9-]+)$" }),
    outboundPort: port,
    accessLog: { type: "string", enum: ["off", "json", "text"] },
  },
  ["addresses"],
);

const mtls = open({ mode: { type: "string", enum: ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] } });
const peerAuthentication = open({ selector, mtls, portLevelMtls: { type: "object", additionalProperties: mtls } }, [], {
  "x-kubernetes-validations": [
    {
      rule: "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0)",
      message: "portLevelMtls needs a selector: ports are those of workloads",
    },
  ],
});

/** "principals" and "notPrincipals", and so on. */
function criteria(names: readonly string[], items: (name: string) => JsonObject): JsonObject {
  const properties: Record<string, JsonObject> = {};
  for (const name of names) {
    properties[name] = listOf(items(name), { minItems: 1 });
    properties[`not${name.slice(0, 1).toUpperCase()}${name.slice(1)}`] = listOf(items(name), { minItems: 1 });
  }
  return open(properties, [], { minProperties: 1 });
}

/** Istio writes ports as texts; a number is one too. */
const portText = { "x-kubernetes-int-or-string": true } as const;
const authorizationPolicy = open(
  {
    selector,
    targetRefs,
    action: { type: "string", enum: ["ALLOW", "DENY", "AUDIT", "CUSTOM"] },
    provider: open({ name: text }, ["name"]),
    rules: listOf(
      open({
        from: listOf(
          open(
            {
              source: criteria(
                ["principals", "requestPrincipals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks"],
                () => text,
              ),
            },
            ["source"],
          ),
          { minItems: 1 },
        ),
        to: listOf(
          open(
            {
              operation: criteria(["hosts", "ports", "methods", "paths", "grpcMethods"], (name) =>
                name === "ports" ? portText : text,
              ),
            },
            ["operation"],
          ),
          { minItems: 1 },
        ),
        when: listOf(
          open(
            // Ports stand here too.
            { key: text, values: listOf(portText, { minItems: 1 }), notValues: listOf(portText, { minItems: 1 }) },
            ["key"],
            {
              "x-kubernetes-validations": [
                { rule: "has(self.values) || has(self.notValues)", message: "values or notValues is needed" },
              ],
            },
          ),
          { minItems: 1 },
        ),
      }),
    ),
  },
  [],
  { "x-kubernetes-validations": [oneTarget] },
);

const requestAuthentication = open(
  {
    selector,
    targetRefs,
    jwtRules: listOf(
      open(
        {
          issuer: text,
          audiences: listOf(text),
          jwksUri: { type: "string", pattern: "^[Hh][Tt][Tt][Pp][Ss]?://.+" },
          jwks: text,
          fromHeaders: listOf(open({ name: text, prefix: { type: "string" } }, ["name"])),
          fromParams: listOf(text),
          fromCookies: listOf(text),
          outputPayloadToHeader: text,
          outputClaimToHeaders: listOf(open({ header: text, claim: text }, ["header", "claim"])),
          forwardOriginalToken: { type: "boolean" },
          spaceDelimitedClaims: listOf(text),
          timeout: { type: "string" },
        },
        ["issuer"],
        {
          "x-kubernetes-validations": [
            {
              rule: "has(self.jwksUri) ? !has(self.jwks) : (has(self.jwks) || self.issuer.startsWith('https://'))",
              message: "jwksUri or jwks, and not both; neither only of an https issuer",
            },
          ],
        },
      ),
    ),
  },
  [],
  { "x-kubernetes-validations": [oneTarget] },
);

const providerOf = (more: Readonly<Record<string, JsonObject>>): JsonObject =>
  open(
    {
      service: text,
      port,
      timeout: { type: "string" },
      failOpen: { type: "boolean" },
      statusOnError: portText,
      includeRequestBodyInCheck: open(
        {
          maxRequestBytes: { type: "integer", minimum: 1, maximum: 1_048_576 },
          allowPartialMessage: { type: "boolean" },
          packAsBytes: { type: "boolean" },
        },
        ["maxRequestBytes"],
      ),
      clearRouteCache: { type: "boolean" },
      ...more,
    },
    ["service", "port"],
  );
const extensionProvider = open(
  {
    envoyExtAuthzGrpc: providerOf({}),
    envoyExtAuthzHttp: providerOf({
      pathPrefix: { type: "string" },
      includeRequestHeadersInCheck: listOf(text),
      includeAdditionalHeadersInCheck: labels,
      headersToUpstreamOnAllow: listOf(text),
      headersToDownstreamOnAllow: listOf(text),
      headersToDownstreamOnDeny: listOf(text),
    }),
  },
  [],
  {
    "x-kubernetes-validations": [
      {
        rule: "has(self.envoyExtAuthzGrpc) != has(self.envoyExtAuthzHttp)",
        message: "one of envoyExtAuthzGrpc and envoyExtAuthzHttp is needed, and no more",
      },
    ],
  },
);

/** As the control plane writes it back. */
const status = object({
  conditions: listOf(
    object(
      {
        type: { type: "string" },
        status: { type: "string", enum: ["True", "False", "Unknown"] },
        reason: { type: "string" },
        message: { type: "string" },
        lastTransitionTime: { type: "string", format: "date-time" },
        observedGeneration: { type: "integer", format: "int64" },
      },
      ["type", "status"],
    ),
    { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] },
  ),
});

const KINDS: readonly (readonly [kind: string, plural: string, shortName: string, spec: JsonObject])[] = [
  ["Workload", "workloads", "hwl", workload],
  ["PeerAuthentication", "peerauthentications", "hpa", peerAuthentication],
  ["AuthorizationPolicy", "authorizationpolicies", "hap", authorizationPolicy],
  ["ExtensionProvider", "extensionproviders", "hep", extensionProvider],
  ["RequestAuthentication", "requestauthentications", "hra", requestAuthentication],
];

/** The definitions of all kinds of heddle.dev. */
export function customResourceDefinitions(): readonly JsonObject[] {
  return KINDS.map(([kind, plural, shortName, spec]) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.heddle.dev`, labels: { "app.kubernetes.io/part-of": "heddle" } },
    spec: {
      group: "heddle.dev",
      scope: "Namespaced",
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ["heddle"],
      },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: {
            openAPIV3Schema: open(
              { apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { type: "object" }, spec, status },
              [],
            ),
          },
          additionalPrinterColumns: [
            { name: "Accepted", type: "string", jsonPath: '.status.conditions[?(@.type=="Accepted")].status' },
            { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
          ],
        },
      ],
    },
  })) satisfies readonly Json[];
}
