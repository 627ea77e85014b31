import { Backoff, type Clock, type Result, type Timer } from "@heddle/base";
import type { JwksUri, MeshObject, RequestAuthentication } from "@heddle/mesh";
import type { Log } from "@heddle/telemetry";
import { askIssuer } from "./ask-issuer.ts";

export interface IssuerDirectoryOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  /** Left out: the issuer itself is asked. Never rejects. */
  readonly ask?: (issuer: string, signal: AbortSignal) => Promise<Result<JwksUri, string>>;
}

/** As Istio's. */
const REFRESH_MS = 20 * 60_000;
const RETRY = { baseMs: 1000, maxMs: 300_000 };
/** Whoever may write policies could have everybody asked. */
const MAX_ISSUERS = 100;

/**
 * Where the keys of issuers are of which a RequestAuthentication does not say it (OpenID Connect Discovery). An issuer is asked as
 * long as somebody names it; while nothing is known no token of it is good. What cannot be had changes nothing: the last good word
 * stays.
 */
export class IssuerDirectory {
  readonly #options: Required<IssuerDirectoryOptions>;
  readonly #issuers = new Map<string, FollowedIssuer>();
  /** The same object for the same words: what is made of it is then reused. */
  readonly #resolved = new WeakMap<RequestAuthentication, { readonly known: string; readonly object: MeshObject }>();
  #onChange: () => void = () => {};
  #isFull = false;

  constructor({
    random = Math.random,
    ask = (issuer, signal) => askIssuer(issuer, { signal }),
    ...rest
  }: IssuerDirectoryOptions) {
    this.#options = { ...rest, random, ask };
  }

  /** `onChange` is called whenever something would be resolved to something else. */
  start(onChange: () => void): void {
    this.#onChange = onChange;
  }

  /** The object with what is known. */
  resolve(object: MeshObject): MeshObject {
    if (object.kind !== "request-authentication") return object;
    const issuers = issuersOf(object);
    if (issuers.length === 0) return object;
    const uris = new Map(issuers.map((issuer) => [issuer, this.#issuers.get(issuer)?.uri]));
    const known = JSON.stringify([...uris].map(([issuer, uri]) => [issuer, uri?.text]));
    const before = this.#resolved.get(object);
    if (before?.known === known) return before.object;
    const rules = object.rules.map((rule) => {
      const uri = rule.keys.type === "discovered" ? uris.get(rule.issuer) : undefined;
      return uri === undefined ? rule : { ...rule, keys: { type: "remote" as const, uri } };
    });
    const resolved = { ...object, rules };
    this.#resolved.set(object, { known, object: resolved });
    return resolved;
  }

  /** These are all objects that there are. */
  follow(objects: Iterable<{ readonly kind: string }>): void {
    const named = namedBy(objects);
    // Those that are named first by their namespaces: who names a hundred keeps nobody else's from being asked.
    const wanted = new Set(named.slice(0, MAX_ISSUERS));
    for (const [issuer, followed] of this.#issuers) {
      if (wanted.has(issuer)) continue;
      void followed.close(); // what it still hears is nobody's
      this.#issuers.delete(issuer);
    }
    const isFull = named.length > MAX_ISSUERS;
    if (isFull && !this.#isFull)
      this.#options.log.error("too many issuers do not say where their keys are; the last ones are not asked", {
        found: named.length,
        allowed: MAX_ISSUERS,
      });
    this.#isFull = isFull;
    for (const issuer of wanted) {
      if (this.#issuers.has(issuer)) continue;
      this.#issuers.set(issuer, new FollowedIssuer(issuer, this.#options, () => this.#onChange()));
    }
  }

  async close(): Promise<void> {
    this.#onChange = () => {};
    await Promise.all(this.#issuers.values().map((issuer) => issuer.close()));
    this.#issuers.clear();
  }
}

/** Each once: the first of each namespace, then the second of each, and so on. */
function namedBy(objects: Iterable<{ readonly kind: string }>): readonly string[] {
  const byNamespace = new Map<string, Set<string>>();
  for (const object of objects) {
    if (object.kind !== "request-authentication") continue;
    const { namespace } = object as RequestAuthentication;
    const own = byNamespace.get(namespace) ?? new Set();
    byNamespace.set(namespace, own);
    for (const issuer of issuersOf(object as RequestAuthentication)) own.add(issuer);
  }
  const inTurn = [...byNamespace.values()].flatMap((own) => [...own].map((issuer, turn) => ({ issuer, turn })));
  return [...new Set(inTurn.sort((a, b) => a.turn - b.turn).map(({ issuer }) => issuer))];
}

function issuersOf({ rules }: RequestAuthentication): readonly string[] {
  return rules.flatMap(({ keys, issuer }) => (keys.type === "discovered" ? [issuer] : []));
}

class FollowedIssuer {
  uri: JwksUri | undefined;
  readonly #issuer: string;
  readonly #options: Required<IssuerDirectoryOptions>;
  readonly #onChange: () => void;
  readonly #backoff: Backoff;
  readonly #abort = new AbortController();
  #fault = "";
  #timer: Timer | undefined;
  #asking: Promise<void>;

  constructor(issuer: string, options: Required<IssuerDirectoryOptions>, onChange: () => void) {
    this.#issuer = issuer;
    this.#options = options;
    this.#onChange = onChange;
    this.#backoff = new Backoff(RETRY, options.random);
    this.#asking = this.#ask();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#asking;
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { ask, clock, log, random } = this.#options;
    const issuer = this.#issuer;
    const answer = await ask(issuer, this.#abort.signal);
    if (this.#abort.signal.aborted) return;
    let waitMs = RETRY.baseMs;
    if (answer.ok) {
      this.#fault = "";
      this.#backoff.reset();
      waitMs = REFRESH_MS * (0.9 + 0.1 * random());
    } else {
      waitMs += this.#backoff.nextMs();
      if (answer.error !== this.#fault)
        log.warn("an issuer does not say where its keys are; what is known of it stays", { issuer, why: answer.error });
      this.#fault = answer.error;
    }
    this.#timer = clock.after(waitMs, () => void (this.#asking = this.#ask()), true);
    if (!answer.ok || answer.value.text === this.uri?.text) return;
    this.uri = answer.value;
    log.info("an issuer has said where its keys are", { issuer, jwksUri: answer.value.text });
    this.#onChange();
  }
}
