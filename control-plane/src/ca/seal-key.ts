import { randomBytes } from "node:crypto";
import { constants, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { readSealSecret, type SealSecret } from "@heddle/identity/ca";
import { StartError } from "../serve/address.ts";

/** In a store's folder: what the authority's keys in that store are sealed under. */
export const SEAL_KEY_FILE = "authority-key";

/**
 * The secret in a file. Without one: `"missing"`. Rejects with a `StartError`, which holds nothing of the content, where the
 * file cannot be read or is no secret.
 */
export async function readSealFile(path: string): Promise<SealSecret | "missing"> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "missing";
    throw new StartError(`certificate authority: ${path} cannot be read: ${code}`);
  }
  const secret = readSealSecret(text);
  if (secret.ok) return secret.value;
  throw new StartError(`certificate authority: ${path} ${secret.error}`);
}

/** Makes a new key, in a file that is its owner's alone and durable before anything is sealed under it. */
export async function makeSealFile(path: string): Promise<SealSecret> {
  const key = randomBytes(32);
  try {
    // Never over what is there, and never through a symbolic link.
    const file = await open(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      await file.writeFile(`${key.toString("hex")}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    const folder = await open(dirname(path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    throw new StartError(
      `certificate authority: ${path} cannot be made: ${(error as NodeJS.ErrnoException).code}; --ca-passphrase-file names another`,
    );
  }
  return { type: "key", key };
}
