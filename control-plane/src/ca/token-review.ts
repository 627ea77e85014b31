import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Clock, err, isJsonObject, ok, type Result } from "@heddle/base";
import { parseSpiffeId, type SpiffeId } from "@heddle/identity";
import type { Agent, request as UndiciRequest } from "undici";
import type { KubeApi } from "../kubernetes/kube-client.ts";
import { KubeError } from "../kubernetes/kube-error.ts";

/** An API server that is asked for this alone. */
export interface ReviewServer {
  /** Of the API server: "https://10.0.0.1:443". */
  readonly url: string;
  /** PEM of its authority; read anew for each new connection. */
  readonly caFile: string;
  /** Our own token, which may create TokenReviews; read anew for each review, since Kubernetes replaces it. */
  readonly tokenFile: string;
}

/** Where Kubernetes is asked about the tokens of its service accounts, and for what they have to be made. */
export type TokenReviewOptions = (ReviewServer | { readonly api: Pick<KubeApi, "request"> }) & ReviewTerms;

interface ReviewTerms {
  /** That a token must have been made for, so that one for somebody else is of no use here. */
  readonly audience: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Of a review, from its start to its end. Default: 5 s. */
  readonly timeoutMs?: number;
}

export interface ReviewRefusal {
  readonly code: "UNAUTHENTICATED" | "UNAVAILABLE" | "RESOURCE_EXHAUSTED";
  /** For the audit; holds nothing of the token. */
  readonly reason: string;
}

type Review = Result<SpiffeId, ReviewRefusal>;

const DEFAULT_TIMEOUT_MS = 5000;
/** A token that was taken away is good for so long yet. */
const CACHE_MS = 5000;
const MAX_CACHED = 1000;
const MAX_IN_FLIGHT = 32;
/** Kubernetes' own have about 1.5 KiB. */
export const MAX_TOKEN_BYTES = 16 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024;
const PATH = "/apis/authentication.k8s.io/v1/tokenreviews";
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** `system:serviceaccount:NAMESPACE:NAME`: names of RFC 1123. */
const SERVICE_ACCOUNT = /^system:serviceaccount:([a-z0-9][a-z0-9-]{0,62}):([a-z0-9][a-z0-9.-]{0,252})$/;

/**
 * Whose a Kubernetes service account token is, by the word of the API server alone: nothing within the token is believed.
 * Fails closed: whatever is not a clear yes is a no, or, where nobody could be asked, UNAVAILABLE.
 */
export class TokenReviewer {
  readonly #options: TokenReviewOptions;
  readonly #timeoutMs: number;
  /** By the token's SHA-256; what was found good, and what is being asked. */
  readonly #cache = new Map<string, { readonly review: Promise<Review>; untilMs: number }>();
  #inFlight = 0;
  #connections: Connections | undefined;
  #isClosed = false;

  constructor(options: TokenReviewOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async identityOf(token: string): Promise<Review> {
    if (token.length > MAX_TOKEN_BYTES || !JWT.test(token))
      return err({ code: "UNAUTHENTICATED", reason: "no service account token" });
    const hash = createHash("sha256").update(token).digest("hex");
    const now = this.#options.clock.now();
    const known = this.#cache.get(hash);
    if (known !== undefined && now < known.untilMs) return known.review;
    if (this.#inFlight >= MAX_IN_FLIGHT || this.#isClosed)
      return err({ code: "RESOURCE_EXHAUSTED", reason: "too many reviews at a time" });
    this.#inFlight += 1;
    const review = this.#review(token).finally(() => {
      this.#inFlight -= 1;
    });
    const cached = { review, untilMs: now + this.#timeoutMs };
    this.#cache.delete(hash);
    this.#cache.set(hash, cached);
    if (this.#cache.size > MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!); // there are many
    const answered = await review;
    if (answered.ok) cached.untilMs = this.#options.clock.now() + CACHE_MS;
    else if (this.#cache.get(hash) === cached) this.#cache.delete(hash);
    return answered;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cache.clear();
    await this.#connections?.agent.destroy();
  }

  async #review(token: string): Promise<Review> {
    const options = this.#options;
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token, audiences: [options.audience] },
    };
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      if ("api" in options) return this.#judge(await options.api.request({ method: "POST", path: PATH, body, signal }));
      return await this.#ask(options, JSON.stringify(body), signal);
    } catch (error) {
      if (error instanceof KubeError) return unavailable(error.status === 0 ? error.message : `status ${error.status}`);
      // undici's and Node's messages have addresses and no headers.
      const { code, name } = error as NodeJS.ErrnoException;
      return unavailable(code ?? name);
    }
  }

  async #ask(server: ReviewServer, body: string, signal: AbortSignal): Promise<Review> {
    const own = (await readFile(server.tokenFile, "utf8")).trim();
    const { agent, request } = await this.#connect(server);
    const { origin } = new URL(server.url);
    const response = await request(`${origin}${PATH}`, {
      method: "POST",
      dispatcher: agent,
      headers: { authorization: `Bearer ${own}`, "content-type": "application/json", accept: "application/json" },
      body,
      signal,
    });
    const text = await readLimited(response.body);
    // 3xx is no answer either: our token goes to the API server and nowhere else.
    if (response.statusCode !== 200 && response.statusCode !== 201) return unavailable(`status ${response.statusCode}`);
    return this.#judge(JSON.parse(text) as unknown);
  }

  #judge(json: unknown): Review {
    const { audience, trustDomain } = this.#options;
    const status = isJsonObject(json) && json["kind"] === "TokenReview" ? json["status"] : undefined;
    if (!isJsonObject(status)) return unavailable("the answer is no TokenReview");
    const { authenticated, audiences, user, error } = status;
    if (authenticated !== true) return err({ code: "UNAUTHENTICATED", reason: "not authenticated" });
    if (typeof error === "string" && error !== "")
      return err({ code: "UNAUTHENTICATED", reason: "reviewed with an error" });
    // An API server that knows nothing of audiences says none: then nobody has looked at this token's.
    if (!Array.isArray(audiences) || !audiences.includes(audience))
      return err({ code: "UNAUTHENTICATED", reason: "another audience" });
    const username = isJsonObject(user) ? user["username"] : undefined;
    const match = typeof username === "string" ? SERVICE_ACCOUNT.exec(username) : null;
    if (match === null) return err({ code: "UNAUTHENTICATED", reason: "no service account" });
    const id = parseSpiffeId(`spiffe://${trustDomain}/ns/${match[1]}/sa/${match[2]}`);
    return id.ok ? ok(id.value) : err({ code: "UNAUTHENTICATED", reason: "no service account" });
  }

  /** Loaded where Kubernetes is asked: nobody else needs undici. */
  async #connect({ caFile }: ReviewServer): Promise<Connections> {
    const ca = await readFile(caFile, "utf8");
    if (this.#connections?.ca === ca) return this.#connections;
    const { Agent, request } = await import("undici");
    const agent = new Agent({
      connect: { ca, timeout: this.#timeoutMs },
      connections: 4,
      headersTimeout: this.#timeoutMs,
      bodyTimeout: this.#timeoutMs,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
    void this.#connections?.agent.close().catch(() => undefined); // the API server has another authority now
    this.#connections = { ca, agent, request };
    return this.#connections;
  }
}

interface Connections {
  readonly ca: string;
  readonly agent: Agent;
  readonly request: typeof UndiciRequest;
}

async function readLimited(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new RangeError("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function unavailable(reason: string): Review {
  return err({ code: "UNAVAILABLE", reason: `no answer of the API server: ${reason}` });
}
