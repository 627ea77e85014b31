import { readFile } from "node:fs/promises";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";

/** How the members of an etcd are spoken to. Files are read for each connection, so that they may be renewed. */
export interface EtcdSecurity {
  readonly tls: boolean;
  /** PEM files. The members' authority (default: the system's), and what we show of ourselves. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** "name:password" in its first line. */
  readonly userFile?: string | undefined;
}

/** Rejects where a file cannot be read or is none of its kind; the message names it and nothing of what is in it. */
export async function readCredentials({ tls, caFile, certFile, keyFile }: EtcdSecurity): Promise<ChannelCredentials> {
  if (!tls) return credentials.createInsecure();
  const [ca, key, cert] = await Promise.all([caFile, keyFile, certFile].map(orNull));
  try {
    return credentials.createSsl(ca, key, cert);
  } catch {
    // OpenSSL's words may quote the file.
    throw new Error(`no PEM of a certificate and its key: ${[caFile, certFile, keyFile].filter(Boolean).join(", ")}`);
  }
}

export async function readUser({ userFile }: EtcdSecurity): Promise<{ name: string; password: string } | undefined> {
  if (userFile === undefined) return undefined;
  const [line = ""] = (await readFile(userFile, "utf8")).split(/\r?\n/);
  const colon = line.indexOf(":");
  if (colon <= 0) throw new Error(`${userFile}: its first line is not "name:password"`);
  return { name: line.slice(0, colon), password: line.slice(colon + 1) };
}

async function orNull(file: string | undefined): Promise<Buffer | null> {
  return file === undefined ? null : readFile(file);
}
