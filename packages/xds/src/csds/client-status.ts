import { err, ok, type Result } from "@heddle/base";
import {
  decodeMessage,
  encodeMessage,
  fieldOf,
  flagOf,
  type Message,
  messageFromJson,
  messageOf,
  messagesOf,
  nodeToMessage,
  textOf,
  toProtoJson,
  typeNameOf,
} from "@heddle/proto";
import { compileStringMatcher, type StringMatcher } from "@heddle/traffic";
import type { ServerResourceStatus } from "../protocol/server-session.ts";
import { SECRET_TYPE_URL } from "../protocol/type-urls.ts";
import { redactSecrets } from "../resource/redact-secrets.ts";
import type { XdsNode } from "../snapshot.ts";

/*
 * `envoy.service.status.v3` (CSDS): which configuration each client of this server has, as far as the server knows.
 */

export interface ClientStatusRequest {
  /** Clients that are asked for; all where there are no matchers. */
  readonly wants: (node: XdsNode) => boolean;
  readonly excludeContents: boolean;
  /** What `node.id` says: who asks, by its own word; "" where nothing is said. */
  readonly nodeId: string;
}

/** One client with everything it has, was sent, or asked for. */
export interface ClientStatus {
  readonly node: XdsNode;
  readonly resources: readonly ServerResourceStatus[];
}

const REQUEST = "envoy.service.status.v3.ClientStatusRequest";
const RESPONSE = "envoy.service.status.v3.ClientStatusResponse";

/** Matchers of one request; each may need a while on each node. */
const MAX_MATCHERS = 100;

/** `envoy.service.status.v3.ConfigStatus`. */
const CONFIG_STATUS = { SYNCED: 1, NOT_SENT: 2, STALE: 3, ERROR: 4 } as const;
/** `envoy.admin.v3.ClientResourceStatus`. */
const CLIENT_STATUS = { SYNCED: 3, NOT_SENT: 2, STALE: 1, ERROR: 4 } as const;

/** Fails with what is wrong in it. Nodes are matched by `node_id`; matching by metadata is not supported. */
export function decodeClientStatusRequest(bytes: Uint8Array): Result<ClientStatusRequest, string> {
  const decoded = decodeMessage(REQUEST, bytes);
  if (!decoded.ok) return decoded;
  const { value } = decoded;
  const list = messagesOf(value, "node_matchers");
  if (list.length > MAX_MATCHERS) return err(`node_matchers: found ${list.length}, allowed are ${MAX_MATCHERS}`);
  const matchers: StringMatcher[] = [];
  for (const [index, matcher] of list.entries()) {
    if (fieldOf(matcher, "node_metadatas") !== undefined)
      return err(`node_matchers[${index}].node_metadatas: not supported; allowed is node_id`);
    const compiled = compile(messageOf(matcher, "node_id") ?? {});
    if (!compiled.ok) return err(`node_matchers[${index}].node_id: ${compiled.error}`);
    matchers.push(compiled.value);
  }
  return ok({
    wants: ({ id }) => matchers.length === 0 || matchers.some((matcher) => matcher.test(id)),
    excludeContents: flagOf(value, "exclude_resource_contents"),
    nodeId: textOf(messageOf(value, "node") ?? {}, "id"),
  });
}

export function encodeClientStatusResponse(clients: readonly ClientStatus[], excludeContents: boolean): Uint8Array {
  return encodeMessage(RESPONSE, {
    config: clients.map(({ node, resources }) => ({
      node: nodeToMessage(node),
      generic_xds_configs: resources.map((resource) => resourceMessage(resource, excludeContents)),
    })),
  });
}

function resourceMessage(resource: ServerResourceStatus, excludeContents: boolean): Message {
  const { typeUrl, name, version, state, content, rejected } = resource;
  const shown = excludeContents || content === undefined ? undefined : withoutSecrets(typeUrl, content);
  return {
    type_url: typeUrl,
    name,
    version_info: version,
    config_status: CONFIG_STATUS[state],
    client_status: CLIENT_STATUS[state],
    ...(shown !== undefined && { xds_config: { type_url: typeUrl, value: shown } }),
    ...(rejected !== undefined && { error_state: { details: rejected.message, version_info: rejected.version } }),
  };
}

/**
 * Whoever may look at states may not for that reason have keys: a secret is not shown at all, and nothing secret of what may
 * hold one inline. Undefined: it cannot be shown without.
 */
function withoutSecrets(typeUrl: string, content: Uint8Array): Uint8Array | undefined {
  if (typeUrl === SECRET_TYPE_URL) return undefined;
  const typeName = typeNameOf(typeUrl);
  const json = toProtoJson(typeName, content);
  const message = json.ok ? messageFromJson(typeName, redactSecrets(json.value)) : json;
  return message.ok ? encodeMessage(typeName, message.value) : undefined;
}

function compile(message: Message): Result<StringMatcher, string> {
  const regex = messageOf(message, "safe_regex");
  const ignoreCase = flagOf(message, "ignore_case");
  if (regex !== undefined) {
    try {
      return ok(compileStringMatcher({ type: "safe-regex", regex: textOf(regex, "regex") }));
    } catch (error) {
      return err(`safe_regex: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  for (const type of ["exact", "prefix", "suffix", "contains"] as const) {
    if (fieldOf(message, type) !== undefined)
      return ok(compileStringMatcher({ type, value: textOf(message, type), ignoreCase }));
  }
  return err("holds no pattern; allowed are exact, prefix, suffix, contains and safe_regex");
}
