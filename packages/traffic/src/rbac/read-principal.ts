import type { IpWords, Json, JsonObject } from "@heddle/base";
import type { AccessSubject } from "./access-subject.ts";
import {
  type AccessTest,
  ALWAYS,
  allOf,
  anyName,
  anyOf,
  authenticatedTest,
  headerTest,
  ipTest,
  metadataTest,
  NEVER,
  not,
  stringMatcher,
  urlPathTest,
} from "./access-tests.ts";
import { openExtension } from "./read-permission.ts";
import { below, plain, type RuleReader } from "./rule-reader.ts";
import { sourcedMetadataTest } from "./sourced-metadata.ts";

/** `envoy.config.rbac.v3.Principal`: who asks. `grants`: that it matches gives access. */
export function readPrincipal(json: Json | undefined, path: string, grants: boolean, reader: RuleReader): AccessTest {
  const fields = reader.object(json, path);
  const kind = reader.choice(fields, path, KINDS);
  if (kind === undefined) return NEVER;
  const value = fields[kind];
  const at = below(path, kind);
  const readId = (id: Json, where: string): AccessTest => readPrincipal(id, where, grants, reader);
  switch (kind) {
    case "andIds":
      return allOf(reader.set(value, at, "ids", readId));
    case "orIds":
      return anyOf(reader.set(value, at, "ids", readId));
    case "notId":
      return not(reader.deeper(at, NEVER, () => readPrincipal(value, at, !grants, reader)));
    case "any":
      return value === true ? ALWAYS : reader.fail(at, "has to be true", NEVER);
    case "authenticated":
      return authenticatedTest(value, at, reader);
    case "sourceIp":
      return ipTest(value, at, reader, sourceIp);
    case "directRemoteIp":
      return ipTest(value, at, reader, directRemoteIp);
    case "remoteIp":
      return ipTest(value, at, reader, remoteIp);
    case "header":
      return headerTest(value, at, grants, reader);
    case "urlPath":
      return urlPathTest(value, at, reader);
    case "metadata":
      return metadataTest(value, at, reader);
    case "sourcedMetadata":
      return sourcedMetadataTest(value, at, reader);
    case "custom":
      return customTest(value, at, reader);
    default:
      return reader.fail(at, "there is no filter state here", NEVER);
  }
}

const MTLS_AUTHENTICATED = "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config";

function customTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const { type, fields } = openExtension(json, path, reader);
  if (type === MTLS_AUTHENTICATED) return mtlsTest(fields, below(path, "typedConfig"), reader);
  return reader.fail(path, `there is no principal ${type}, but ${MTLS_AUTHENTICATED}`, NEVER);
}

/** A verified client certificate: any, or one with such a SAN. */
function mtlsTest(fields: JsonObject, path: string, reader: RuleReader): AccessTest {
  const { sanMatcher, anyValidatedClientCertificate } = fields;
  if (sanMatcher === undefined) {
    if (anyValidatedClientCertificate === true) return (subject) => subject.verifiedPeer !== undefined;
    return reader.fail(path, "needed is san_matcher or any_validated_client_certificate", NEVER);
  }
  const at = below(path, "sanMatcher");
  const { sanType = "", matcher: json } = reader.object(sanMatcher, at);
  const sans = SANS[plain(sanType)];
  if (sans === undefined) {
    const message = `found ${JSON.stringify(sanType)}, supported are ${Object.keys(SANS).join(", ")}`;
    return reader.fail(below(at, "sanType"), message, NEVER);
  }
  const matcher = stringMatcher(json, below(at, "matcher"), reader);
  return (subject) => {
    const peer = subject.verifiedPeer;
    return peer !== undefined && anyName(peer[sans], matcher);
  };
}

/** `SubjectAltNameMatcher.SanType`, and where those names are. */
const SANS: Readonly<Record<string, "uriSans" | "dnsSans" | "emailSans" | "ipSans">> = {
  URI: "uriSans",
  DNS: "dnsSans",
  EMAIL: "emailSans",
  IP_ADDRESS: "ipSans",
};

const sourceIp = (subject: AccessSubject): IpWords | undefined => subject.sourceIp;
const directRemoteIp = (subject: AccessSubject): IpWords | undefined => subject.directRemoteIp;
const remoteIp = (subject: AccessSubject): IpWords | undefined => subject.remoteIp;

const KINDS = [
  "andIds",
  "orIds",
  "any",
  "authenticated",
  "sourceIp",
  "directRemoteIp",
  "remoteIp",
  "header",
  "urlPath",
  "metadata",
  "filterState",
  "notId",
  "sourcedMetadata",
  "custom",
] as const;
