import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import { isNestedDeeper } from "@heddle/proto";

/** What the store keeps of a resource. Who may read it and what it means is not its business. */
export interface StoredValue {
  readonly content: StoredContent;
  /** Of an xDS resource: it may take the place of a generated one. */
  readonly override: boolean;
  readonly author: string;
  readonly manager: string;
  /** Wall clock, in milliseconds. */
  readonly updatedAtMs: number;
}

export type StoredContent =
  /** The document as it was applied. */
  | { readonly type: "json"; readonly json: Json }
  /** An xDS resource that was applied in binary: kept as it is, whatever of it this version knows. */
  | { readonly type: "binary"; readonly typeUrl: string; readonly bytes: Uint8Array };

/**
 * The number of this form. A reader takes older ones; one that is newer is told as such, so that a control plane that has
 * been set back leaves what its successor has written as it is.
 */
const FORMAT = 1;

/** What the API itself takes is less deep. */
const MAX_DEPTH = 128;

export function encodeStoredValue({ content, override, author, manager, updatedAtMs }: StoredValue): Uint8Array {
  const kept =
    content.type === "json"
      ? { json: content.json }
      : { binary: { typeUrl: content.typeUrl, value: Buffer.from(content.bytes).toString("base64") } };
  return Buffer.from(JSON.stringify({ format: FORMAT, ...kept, override, author, manager, updatedAtMs }));
}

export function decodeStoredValue(bytes: Uint8Array): Result<StoredValue, string> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return err("is no resource of this API");
  }
  if (!isJsonObject(value)) return err("is no resource of this API");
  const { format, json, binary, override, author, manager, updatedAtMs } = value;
  if (typeof format === "number" && format > FORMAT)
    return err(`was written by a newer control plane (format ${format}; this one reads up to ${FORMAT})`);
  const content = contentOf(json, binary);
  if (format !== FORMAT || content === undefined) return err("is no resource of this API");
  return ok({
    content,
    override: override === true,
    author: typeof author === "string" ? author : "",
    manager: typeof manager === "string" ? manager : "",
    updatedAtMs: isTime(updatedAtMs) ? updatedAtMs : 0,
  });
}

function contentOf(json: unknown, binary: unknown): StoredContent | undefined {
  if (isJsonObject(json) && !isNestedDeeper(json, MAX_DEPTH)) return { type: "json", json: json as Json };
  if (!isJsonObject(binary)) return undefined;
  const { typeUrl, value } = binary;
  if (typeof typeUrl !== "string" || typeof value !== "string") return undefined;
  return { type: "binary", typeUrl, bytes: Buffer.from(value, "base64") };
}

/** Whether a `Date` can be that time: one of another writer may be any number. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && !Number.isNaN(new Date(value).getTime());
}
