import type { IpWords, Json } from "@heddle/base";
import type { AccessSubject } from "./access-subject.ts";
import {
  type AccessTest,
  ALWAYS,
  allOf,
  anyOf,
  headerTest,
  ipTest,
  metadataTest,
  NEVER,
  not,
  portRangeTest,
  portTest,
  serverNameTest,
  urlPathTest,
} from "./access-tests.ts";
import { below, openJsonAny, type RuleReader } from "./rule-reader.ts";
import { sourcedMetadataTest } from "./sourced-metadata.ts";
import { URI_TEMPLATE, uriTemplateTest } from "./uri-template.ts";

/** `envoy.config.rbac.v3.Permission`: what somebody wants to do. `grants`: that it matches gives access. */
export function readPermission(json: Json | undefined, path: string, grants: boolean, reader: RuleReader): AccessTest {
  const fields = reader.object(json, path);
  const kind = reader.choice(fields, path, KINDS);
  if (kind === undefined) return NEVER;
  const value = fields[kind];
  const at = below(path, kind);
  const readRule = (rule: Json, where: string): AccessTest => readPermission(rule, where, grants, reader);
  switch (kind) {
    case "andRules":
      return allOf(reader.set(value, at, "rules", readRule));
    case "orRules":
      return anyOf(reader.set(value, at, "rules", readRule));
    case "notRule":
      return not(reader.deeper(at, NEVER, () => readPermission(value, at, !grants, reader)));
    case "any":
      return value === true ? ALWAYS : reader.fail(at, "has to be true", NEVER);
    case "header":
      return headerTest(value, at, grants, reader);
    case "urlPath":
      return urlPathTest(value, at, reader);
    case "uriTemplate": {
      const { type, fields: template } = openExtension(value, at, reader);
      if (type === URI_TEMPLATE) return uriTemplateTest(template, below(at, "typedConfig"), reader);
      return reader.fail(at, `there is no path matcher ${type}`, NEVER);
    }
    case "destinationIp":
      return ipTest(value, at, reader, destinationIp);
    case "destinationPort":
      return portTest(value, at, reader);
    case "destinationPortRange":
      return portRangeTest(value, at, reader);
    case "metadata":
      return metadataTest(value, at, reader);
    case "sourcedMetadata":
      return sourcedMetadataTest(value, at, reader);
    case "requestedServerName":
      return serverNameTest(value, at, reader);
    default:
      return reader.fail(at, `there is no matcher ${openExtension(value, at, reader).type}`, NEVER);
  }
}

/** `envoy.config.core.v3.TypedExtensionConfig` */
export function openExtension(
  json: Json | undefined,
  path: string,
  reader: RuleReader,
): ReturnType<typeof openJsonAny> {
  return openJsonAny(reader.object(json, path)["typedConfig"], below(path, "typedConfig"), reader);
}

const destinationIp = (subject: AccessSubject): IpWords | undefined => subject.destinationIp;

const KINDS = [
  "andRules",
  "orRules",
  "any",
  "header",
  "urlPath",
  "destinationIp",
  "destinationPort",
  "destinationPortRange",
  "metadata",
  "notRule",
  "requestedServerName",
  "matcher",
  "uriTemplate",
  "sourcedMetadata",
] as const;
