import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { isObject, type Json, type JsonObject, member, stringsOf, text } from "./kube-object.ts";
import { unauthorized } from "./status-error.ts";

/** Who asks. */
export interface KubeUser {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: { readonly [key: string]: readonly string[] };
}

export const ANONYMOUS: KubeUser = { name: "system:anonymous", groups: ["system:unauthenticated"] };

/** What a token of a service account is for. */
export interface TokenWish {
  readonly namespace: string;
  readonly account: string;
  readonly accountUid: string;
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
  /** The pod that it is bound to. */
  readonly pod?: { readonly name: string; readonly uid: string };
}

const ISSUER = "https://kubernetes.default.svc.cluster.local";

/** The audience of tokens that speak to the API server itself. */
export const API_AUDIENCE = ISSUER;

/** Whether that object is there still: a token does not outlive its account, nor its pod. */
export type IsAlive = (plural: "serviceaccounts" | "pods", namespace: string, name: string, uid: string) => boolean;

/** Tells users by client certificate (CN and O), by a table of bearer tokens, and by service accounts' signed tokens. */
export class Authentication {
  readonly #tokens = new Map<string, KubeUser>();
  readonly #publicKey: KeyObject;
  readonly #privateKey: KeyObject;
  readonly #isAlive: IsAlive;

  constructor(isAlive: IsAlive) {
    ({ publicKey: this.#publicKey, privateKey: this.#privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" }));
    this.#isAlive = isAlive;
  }

  addToken(token: string, user: KubeUser): void {
    this.#tokens.set(token, user);
  }

  /** Throws 401 for a token that is not good; who shows nothing is anonymous. */
  userOf(request: IncomingMessage): KubeUser {
    const certificate = certificateUser(request.socket as TLSSocket);
    if (certificate !== undefined) return certificate;
    const header = request.headers.authorization;
    if (header === undefined) return ANONYMOUS;
    const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
    const user = token === undefined ? undefined : this.#tokens.get(token);
    if (user !== undefined) return authenticated(user);
    const review = token === undefined ? undefined : this.review(token, [API_AUDIENCE]);
    if (review === undefined) throw unauthorized();
    return review.user;
  }

  /** Whose token that is and which of these audiences it is for; undefined where it is not good for any. */
  review(token: string, audiences: readonly string[]): { user: KubeUser; audiences: readonly string[] } | undefined {
    const known = this.#tokens.get(token);
    if (known !== undefined)
      return audiences.includes(API_AUDIENCE) ? { user: authenticated(known), audiences: [API_AUDIENCE] } : undefined;
    const claims = this.#verified(token);
    if (claims === undefined) return undefined;
    const common = stringsOf(claims["aud"]).filter((audience) => audiences.includes(audience));
    const namespace = text(member(claims, "kubernetes.io", "namespace"));
    const account = {
      name: memberText(claims, "serviceaccount", "name"),
      uid: memberText(claims, "serviceaccount", "uid"),
    };
    const pod = { name: memberText(claims, "pod", "name"), uid: memberText(claims, "pod", "uid") };
    if (common.length === 0 || !this.#isAlive("serviceaccounts", namespace, account.name, account.uid))
      return undefined;
    if (pod.name !== "" && !this.#isAlive("pods", namespace, pod.name, pod.uid)) return undefined;
    const user = {
      name: `system:serviceaccount:${namespace}:${account.name}`,
      uid: account.uid,
      groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      extra: {
        "authentication.kubernetes.io/credential-id": [`JTI=${text(claims["jti"])}`],
        ...(pod.name === ""
          ? {}
          : {
              "authentication.kubernetes.io/pod-name": [pod.name],
              "authentication.kubernetes.io/pod-uid": [pod.uid],
            }),
      },
    };
    return { user, audiences: common };
  }

  /** A token as TokenRequest gives it and as kubelets put it into pods. */
  issue({ namespace, account, accountUid, audiences, expirationSeconds, pod }: TokenWish): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      aud: audiences.length === 0 ? [API_AUDIENCE] : audiences,
      exp: now + expirationSeconds,
      iat: now,
      nbf: now,
      iss: ISSUER,
      jti: crypto.randomUUID(),
      sub: `system:serviceaccount:${namespace}:${account}`,
      "kubernetes.io": {
        namespace,
        serviceaccount: { name: account, uid: accountUid },
        ...(pod === undefined ? {} : { pod }),
      },
    };
    const part = (json: unknown): string => Buffer.from(JSON.stringify(json)).toString("base64url");
    const signed = `${part({ alg: "ES256", kid: "kube" })}.${part(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key: this.#privateKey, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  }

  /** The keys that sign tokens (RFC 7517), served at /openid/v1/jwks. */
  jwks(): Json {
    const jwk = createPublicKey(this.#publicKey.export({ type: "spki", format: "pem" })).export({ format: "jwk" });
    return { keys: [{ ...(jwk as JsonObject), kid: "kube", alg: "ES256", use: "sig" }] };
  }

  /** What says where the keys are (OpenID Connect Discovery), at /.well-known/openid-configuration. */
  static configuration(url: string): Json {
    return {
      issuer: ISSUER,
      jwks_uri: `${url}/openid/v1/jwks`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
    };
  }

  #verified(token: string): JsonObject | undefined {
    const [header, payload, signature] = token.split(".");
    if (header === undefined || payload === undefined || signature === undefined) return undefined;
    const key = { key: this.#publicKey, dsaEncoding: "ieee-p1363" } as const;
    const isSigned = verify("sha256", Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url"));
    if (!isSigned) return undefined;
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Json;
    return isObject(claims) && Number(claims["exp"]) > Date.now() / 1000 ? claims : undefined;
  }
}

function certificateUser(socket: TLSSocket): KubeUser | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  if (subject === undefined) return undefined;
  const { CN: name, O: groups = [] } = subject as { CN?: string; O?: string | string[] };
  return name === undefined ? undefined : authenticated({ name, groups: [groups].flat() });
}

function authenticated(user: KubeUser): KubeUser {
  return { ...user, groups: [...user.groups, "system:authenticated"] };
}

function memberText(claims: JsonObject, ...names: readonly string[]): string {
  return text(member(claims, "kubernetes.io", ...names));
}
