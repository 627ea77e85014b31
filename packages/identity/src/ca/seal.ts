import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from "node:crypto";
import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";

/*
 * Secrets at rest: AES-256-GCM under a key of 32 bytes, or under one that scrypt (RFC 7914) makes of a passphrase. The
 * envelope is JSON with a version; everything in it but the cipher text is authenticated with it.
 */

/** What secrets are sealed under. Never written anywhere. */
export type SealSecret =
  | { readonly type: "key"; readonly key: Uint8Array }
  | { readonly type: "passphrase"; readonly passphrase: string };

const KEY_BYTES = 32;
const MIN_PASSPHRASE_BYTES = 12;
const MAX_ENVELOPE_BYTES = 256 * 1024;

/** 64 MiB for a quarter of a second: what a guess costs. */
const SCRYPT = { N: 2 ** 16, r: 8, p: 1 } as const;

/** What an envelope may ask of whoever opens it. */
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;

/**
 * Reads the content of a file: 64 hexadecimal digits, or 32 bytes in base64, are a key; everything else is a passphrase.
 * White space around it does not count.
 */
export function readSealSecret(content: string): Result<SealSecret, string> {
  const text = content.trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return ok({ type: "key", key: Buffer.from(text, "hex") });
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return ok({ type: "key", key: Buffer.from(text, "base64") });
  if (Buffer.byteLength(text) < MIN_PASSPHRASE_BYTES)
    return err(
      `is neither a key (32 bytes in hexadecimal or base64) nor a passphrase of ${MIN_PASSPHRASE_BYTES} bytes`,
    );
  return ok({ type: "passphrase", passphrase: text });
}

/** The envelope, JSON of one line. */
export async function seal(plaintext: string, secret: SealSecret): Promise<string> {
  const iv = randomBytes(12);
  const header: JsonObject = {
    version: 1,
    cipher: "aes-256-gcm",
    iv: iv.toString("base64"),
    ...(secret.type === "passphrase" ? { scrypt: { ...SCRYPT, salt: randomBytes(16).toString("base64") } } : {}),
  };
  const cipher = createCipheriv("aes-256-gcm", await keyOf(secret, header), iv);
  cipher.setAAD(Buffer.from(JSON.stringify(header)));
  const data = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return JSON.stringify({ ...header, data: data.toString("base64") });
}

/** What was sealed. The error says what is wrong with the envelope, or that the secret is another one. */
export async function unseal(envelope: string, secret: SealSecret): Promise<Result<string, string>> {
  if (envelope.length > MAX_ENVELOPE_BYTES) return err(`has more than ${MAX_ENVELOPE_BYTES} bytes`);
  let read: Json;
  try {
    read = JSON.parse(envelope);
  } catch {
    return err("is no JSON");
  }
  if (!isJsonObject(read)) return err("is no object");
  const { data, ...header } = read;
  if (header["version"] !== 1) return err("is of another version than 1");
  if (header["cipher"] !== "aes-256-gcm") return err("is under another cipher than aes-256-gcm");
  const iv = bytesOf(header["iv"]);
  const sealed = bytesOf(data);
  if (iv?.length !== 12 || sealed === undefined || sealed.length < TAG_BYTES)
    return err("is cut, or no envelope at all");
  if ((header["scrypt"] !== undefined) !== (secret.type === "passphrase"))
    return err(
      `is sealed under a ${secret.type === "key" ? "passphrase, and a key" : "key, and a passphrase"} is given`,
    );
  const fault = scryptFault(header["scrypt"]);
  if (fault !== undefined) return err(fault);
  const decipher = createDecipheriv("aes-256-gcm", await keyOf(secret, header), iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(JSON.stringify(header)));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return ok(Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8"));
  } catch {
    return err("is not sealed under this secret, or has been changed");
  }
}

const TAG_BYTES = 16;

function keyOf(secret: SealSecret, header: JsonObject): Promise<Uint8Array> {
  if (secret.type === "key") {
    if (secret.key.length !== KEY_BYTES) throw new Error(`a key of ${secret.key.length} bytes`);
    return Promise.resolve(secret.key);
  }
  const { N, r, p, salt } = header["scrypt"] as unknown as ScryptHeader; // our own, or looked at by scryptFault
  const options: ScryptOptions = { N, r, p, maxmem: MAX_SCRYPT_BYTES + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(secret.passphrase.normalize("NFC"), Buffer.from(salt, "base64"), KEY_BYTES, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

interface ScryptHeader {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
}

/** Nothing is authenticated before the key is made, so what the making may cost is limited. */
function scryptFault(header: Json | undefined): string | undefined {
  if (header === undefined) return undefined;
  const fault = "asks for an scrypt that is none, or that is beyond every bound";
  if (!isJsonObject(header)) return fault;
  const { N, r, p, salt } = header;
  const whole = (value: Json | undefined): value is number => Number.isInteger(value) && (value as number) > 0;
  if (!whole(N) || !whole(r) || !whole(p) || (bytesOf(salt)?.length ?? 0) < 8) return fault;
  const isPowerOfTwo = N > 1 && Number.isInteger(Math.log2(N));
  return isPowerOfTwo && 128 * N * r <= MAX_SCRYPT_BYTES && p <= 16 ? undefined : fault;
}

function bytesOf(base64: Json | undefined): Buffer | undefined {
  if (typeof base64 !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return undefined;
  return Buffer.from(base64, "base64");
}
