import { createHash, timingSafeEqual } from "node:crypto";
import { denial, type Exchange, type FilterContext, type HttpFilter, type HttpFilterFactory } from "@heddle/filter";
import { HeaderMap, type RequestHead } from "@heddle/http";
import type { Counter } from "@heddle/telemetry";
import type { BasicAuthConfig, BasicAuthRouteConfig, BasicAuthUsers } from "./basic-auth-type.ts";
import { realmOf } from "./request-credentials.ts";

/** Where a request's credentials led to: a user, a reason to refuse, or "none" where there are none and need not be. */
type Judgement =
  | { readonly type: "user"; readonly name: string }
  | { readonly type: "none" }
  | { readonly type: "refused"; readonly body: string; readonly details: string };

export function create(config: BasicAuthConfig, { name, metrics }: FilterContext): HttpFilterFactory {
  const filter = new BasicAuthFilter(config, name, {
    allowed: metrics.counter("basic_auth.allowed"),
    denied: metrics.counter("basic_auth.denied"),
  });
  return { create: () => filter };
}

/** Keeps nothing between requests. */
class BasicAuthFilter implements HttpFilter {
  readonly #config: BasicAuthConfig;
  readonly #name: string;
  readonly #stats: { readonly allowed: Counter; readonly denied: Counter };

  constructor(config: BasicAuthConfig, name: string, stats: { readonly allowed: Counter; readonly denied: Counter }) {
    this.#config = config;
    this.#name = name;
    this.#stats = stats;
  }

  requestHead(exchange: Exchange): "continue" | "pause" {
    const { forwardUsernameHeader, emitDynamicMetadata } = this.#config;
    const { request } = exchange;
    const own = exchange.routeConfig(this.#name) as BasicAuthRouteConfig | undefined;
    const judgement = this.#judge(request, own?.users ?? this.#config.users);
    // Whatever a client writes there, the upstream would believe us.
    if (forwardUsernameHeader !== "") request.headers.remove(forwardUsernameHeader);
    switch (judgement.type) {
      case "refused":
        this.#refuse(exchange, judgement, own);
        return "pause";
      case "none":
        return "continue";
      case "user":
        if (forwardUsernameHeader !== "") request.headers.set(forwardUsernameHeader, judgement.name);
        if (emitDynamicMetadata) setMetadata(exchange, this.#name, "username", utf8(judgement.name));
        this.#stats.allowed.add();
        return "continue";
      default:
        throw new Error(`unknown judgement ${JSON.stringify(judgement satisfies never)}`);
    }
  }

  #judge({ headers }: RequestHead, users: BasicAuthUsers): Judgement {
    const { authenticationHeader, allowMissing } = this.#config;
    const values = headers.getAll(authenticationHeader);
    const [value = ""] = values;
    if (values.length === 0) return allowMissing ? NONE : MISSING;
    // Somebody behind may read another one of them than we do.
    if (values.length > 1) return MALFORMED;
    if (!SCHEME.test(value)) return allowMissing ? NONE : OTHER_SCHEME;
    const encoded = value.slice(SCHEME_LENGTH).trimStart();
    if (!BASE64.test(encoded)) return MALFORMED;
    const decoded = Buffer.from(encoded, "base64").toString("latin1");
    const colon = decoded.indexOf(":"); // a name has none, a password may (RFC 7617 §2)
    if (colon === -1) return MALFORMED;
    const name = decoded.slice(0, colon);
    return isPassword(users.get(name), decoded.slice(colon + 1)) ? { type: "user", name } : WRONG;
  }

  #refuse(
    exchange: Exchange,
    { body, details }: { readonly body: string; readonly details: string },
    own: BasicAuthRouteConfig | undefined,
  ): void {
    this.#stats.denied.add();
    const realm = own?.realm || this.#config.realm || realmOf(exchange.request);
    const headers = HeaderMap.from({ "www-authenticate": `Basic realm="${realm}"` });
    exchange.reply(denial(exchange, { status: 401, body, headers, details }, "basic_auth", details));
  }
}

/** Takes as long for a name that is not known as for one that is. */
function isPassword(hash: string | undefined, password: string): boolean {
  const found = createHash("sha1").update(password, "latin1").digest();
  const wanted = hash === undefined ? NO_HASH : Buffer.from(hash, "base64");
  return timingSafeEqual(found, wanted) && hash !== undefined;
}

function setMetadata({ metadata }: Exchange, namespace: string, key: string, value: string): void {
  const known = metadata.get(namespace);
  if (known === undefined) metadata.set(namespace, new Map([[key, value]]));
  else known.set(key, value);
}

function utf8(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}

const NO_HASH = new Uint8Array(20);
/** A scheme's name has no case (RFC 9110 §11.1). */
const SCHEME = /^basic /i;
const SCHEME_LENGTH = 6;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

const NONE: Judgement = { type: "none" };
const MISSING = refused("Missing username and password.", "no_credential_for_basic_auth");
const OTHER_SCHEME = refused("Expected 'Basic' authentication scheme.", "invalid_scheme_for_basic_auth");
const MALFORMED = refused("Invalid basic credential format.", "invalid_format_for_basic_auth");
const WRONG = refused("Invalid username/password combination.", "invalid_credential_for_basic_auth");

function refused(why: string, details: string): Judgement {
  return { type: "refused", body: `User authentication failed. ${why}`, details };
}
