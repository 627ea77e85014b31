import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import { type RootRotation, readRotation, rotationJson } from "@heddle/identity/ca";

/** What the store keeps of an authority that was made here. */
export interface RootState {
  readonly trustDomain: string;
  /** Of the trust bundle: grows with every change of it. */
  readonly sequenceNumber: number;
  readonly rotation: RootRotation;
  /** Those of the rotation, the oldest first. */
  readonly roots: readonly StoredRoot[];
}

export interface StoredRoot {
  /** What the rotation calls it: SHA-256 of the certificate, hexadecimal. */
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
  /** An envelope of `seal`; undefined of one that signs no more. */
  readonly sealedKey: string | undefined;
}

const FORMAT = 1;

export function encodeRootState({ rotation, ...rest }: RootState): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, ...rest, rotation: rotationJson(rotation) }));
}

/** The error says what is wrong, and holds nothing of a key. */
export function decodeRootState(bytes: Uint8Array): Result<RootState, string> {
  let json: Json;
  try {
    json = JSON.parse(Buffer.from(bytes).toString()) as Json;
  } catch {
    return err("is no JSON");
  }
  if (!isJsonObject(json)) return err("is no object");
  const { format, trustDomain, sequenceNumber, rotation: rotationText, roots: list } = json;
  if (typeof format === "number" && format > FORMAT)
    return err(`was written by a newer control plane (format ${format}; this one reads up to ${FORMAT})`);
  if (
    format !== FORMAT ||
    typeof trustDomain !== "string" ||
    typeof sequenceNumber !== "number" ||
    !Array.isArray(list)
  )
    return err("lacks fields");
  const rotation = readRotation(rotationText ?? null);
  if (!rotation.ok) return err(`rotation: ${rotation.error}`);
  const roots: StoredRoot[] = [];
  for (const [index, root] of list.entries()) {
    if (!isJsonObject(root)) return err(`roots[${index}]: is no object`);
    const { name, certificate, sealedKey } = root;
    if (typeof name !== "string" || typeof certificate !== "string") return err(`roots[${index}]: lacks fields`);
    roots.push({ name, certificate, sealedKey: typeof sealedKey === "string" ? sealedKey : undefined });
  }
  return ok({ trustDomain, sequenceNumber, rotation: rotation.value, roots });
}
