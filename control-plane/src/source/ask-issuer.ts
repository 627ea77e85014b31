import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { err, isJsonObject, ok, type Result } from "@heddle/base";
import { type JwksUri, parseJwksUri } from "@heddle/mesh";

/** A document of metadata has some kilobytes. */
const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 5000;

export interface AskIssuerOptions {
  readonly signal: AbortSignal;
  /** PEM of whom the issuer's certificate is believed by. Left out: whom this machine believes. */
  readonly ca?: string;
  /** Where nobody may be asked; see `FORBIDDEN`. */
  readonly forbidden?: BlockList;
}

/**
 * Asks an issuer where its keys are (OpenID Connect Discovery 1.0 §4). Only by https, without following redirections, and only a
 * document that names the very same issuer is believed (§4.3). Whoever may write a RequestAuthentication chooses who is asked: so
 * nobody is that stands on this machine or its link, where the metadata services of clouds are, and no error repeats an answer.
 */
export async function askIssuer(issuer: string, options: AskIssuerOptions): Promise<Result<JwksUri, string>> {
  const { signal, ca, forbidden = FORBIDDEN } = options;
  const url = new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  const host = url.hostname.replace(/^\[|\]$/g, ""); // of an IPv6 address
  if (isForbidden(host, forbidden)) return err(NOT_ASKED);
  const { Agent, request } = await import("undici");
  const agent = new Agent({
    connect: { lookup: guarded(forbidden), timeout: TIMEOUT_MS, maxCachedSessions: 0, ...(ca !== undefined && { ca }) },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    maxResponseSize: MAX_BYTES,
  });
  try {
    const { statusCode, body } = await request(url, {
      dispatcher: agent,
      headers: { accept: "application/json", "user-agent": "heddle" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const text = await body.text();
    return statusCode === 200 ? readMetadata(text, issuer) : err(`the answer is ${statusCode}`);
  } catch (error) {
    const { code, message, name } = error as NodeJS.ErrnoException;
    return err(name === "TimeoutError" ? `no answer within ${TIMEOUT_MS} ms` : (code ?? message));
  } finally {
    await agent.destroy();
  }
}

function readMetadata(text: string, issuer: string): Result<JwksUri, string> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return err("the answer is no JSON");
  }
  if (!isJsonObject(json)) return err("the answer is no object");
  if (json["issuer"] !== issuer) return err("the answer names another issuer");
  const uri = typeof json["jwks_uri"] === "string" ? parseJwksUri(json["jwks_uri"]) : undefined;
  return uri?.tls === true ? ok(uri) : err("the answer names no https URL of keys (jwks_uri)");
}

/** This machine, its link, and what is nobody's address. */
export const FORBIDDEN = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 3],
] as const)
  FORBIDDEN.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 127], // unspecified, and loopback
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  FORBIDDEN.addSubnet(network, bits, "ipv6");

const NOT_ASKED = "it stands on this machine or its link, where nobody is asked";

function isForbidden(address: string, forbidden: BlockList): boolean {
  const family = isIP(address);
  return family !== 0 && forbidden.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** What a name stands for is looked at when it is dialled: it may stand for something else then than it did before. */
function guarded(forbidden: BlockList): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        done(error, "", 0);
        return;
      }
      const allowed = addresses.filter(({ address }) => !isForbidden(address, forbidden));
      const [first] = allowed;
      if (first === undefined) done(new Error(NOT_ASKED), "", 0);
      else if (options.all === true) done(null, allowed);
      else done(null, first.address, first.family);
    });
  };
}
