import type { Json } from "@heddle/base";
import { type AccessTest, metadataTest, NEVER } from "./access-tests.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/** `envoy.config.rbac.v3.SourcedMetadata` */
export function sourcedMetadataTest(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const { metadataMatcher, metadataSource = "DYNAMIC" } = reader.object(json, path);
  if (metadataSource !== "DYNAMIC") {
    const at = below(path, "metadataSource");
    return reader.fail(at, `found ${JSON.stringify(metadataSource)}, supported is DYNAMIC`, NEVER);
  }
  return metadataTest(metadataMatcher, below(path, "metadataMatcher"), reader);
}
