import { readFileSync } from "node:fs";
import { isLoopback, parseIp } from "@heddle/base";
import { UsageError } from "../command.ts";
import { type ApiServer, ResourceClient } from "./resource-client.ts";

/** For `parseArgs`: what every command takes that speaks to the resource API. */
export const API_OPTIONS = {
  server: { type: "string" },
  "token-file": { type: "string" },
  "ca-file": { type: "string" },
} as const;

export const API_HELP = `  --server URL       the resource API (http://127.0.0.1:15016); also HEDDLE_API
  --token-file FILE  the token that it wants; also HEDDLE_TOKEN
  --ca-file FILE     PEM of who has signed its certificate, for https`;

const DEFAULT_URL = "http://127.0.0.1:15016";

/** The client that the flags and the environment ask for. */
export function apiClient(
  values: Readonly<{ [name in keyof typeof API_OPTIONS]?: string | undefined }>,
  environment: Readonly<Record<string, string | undefined>>,
): ResourceClient {
  const text = values.server ?? environment["HEDDLE_API"] ?? DEFAULT_URL;
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "")
    throw new UsageError(`--server: found "${text}", allowed: http://HOST:PORT, https://HOST:PORT`);
  const tokenFile = values["token-file"];
  const token = tokenFile === undefined ? environment["HEDDLE_TOKEN"] : readText(tokenFile, "--token-file").trim();
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new UsageError("the token is empty, or no token");
  if (token !== undefined && url.protocol === "http:" && !isThisMachine(url.hostname))
    throw new UsageError(`a token does not go to ${url.hostname} in plaintext; use https`);
  const caFile = values["ca-file"];
  const server: ApiServer = { url, token, ca: caFile === undefined ? undefined : readText(caFile, "--ca-file") };
  return new ResourceClient(server);
}

function isThisMachine(host: string): boolean {
  const address = parseIp(host.replace(/^\[(.*)\]$/, "$1"));
  return host === "localhost" || (address !== undefined && isLoopback(address));
}

function readText(file: string, flag: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${flag}: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
