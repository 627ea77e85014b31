import type { Clock, Timer } from "@heddle/base";
import {
  type ClusterConfig,
  filterChainsOf,
  INITIAL_FETCH_TIMEOUT_MS,
  type ListenerConfig,
  type SecretConfig,
  type SecretReference,
  secretKey,
  secretsOf,
} from "@heddle/traffic";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import type { ConfigDraft } from "./config-draft.ts";
import { gatherWants, type Wanted, type Wants } from "./wants.ts";

/**
 * The secrets that listeners and clusters name in their TLS contexts: the bootstrap's, the process's own (its identity), and
 * those that SDS brings. One that several name is asked for once; one that nobody names any more is unsubscribed and forgotten.
 *
 * A secret that has come serves at once, and so does each later version: who uses it is not touched, since only
 * handshakes to come look at it. One that the server says is gone stays as it is, as in Envoy: without it nobody could connect.
 * One that has not come after the `initial_fetch_timeout` of its source is not waited for any more, by nobody; until it comes
 * connections are refused. One of the process's own may be withdrawn, since a certificate that has expired is shown to nobody.
 */
export class SecretAssembly {
  readonly #draft: ConfigDraft;
  readonly #static = new Map<string, Versioned<SecretConfig>>();
  /** What SDS last said, by key; only of what somebody asks for. */
  readonly #dynamic = new Map<string, Versioned<SecretConfig>>();
  /** Who asks, by the secret's key. */
  readonly #users = new Map<string, Users>();
  /** What an owner stands under in `#users`. */
  readonly #ownersWants = new Map<string, ReadonlyMap<string, SecretReference>>();
  /** Nobody asks for these, by key, at this point of the step. */
  readonly #unused = new Set<string>();
  readonly #clock: Clock;
  readonly #onTimeout: (owners: readonly string[]) => void;
  /** What the getter last answered, kept until it changes. */
  #wants: Wants | undefined;

  /** `onTimeout`: these owners wait for a secret no more. */
  constructor(draft: ConfigDraft, clock: Clock, onTimeout: (owners: readonly string[]) => void) {
    this.#draft = draft;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** One of `static_resources.secrets`. */
  addStatic(secret: Versioned<SecretConfig>): void {
    this.#static.set(secret.config.name, secret);
  }

  /** One of the process's own came, or came anew; references without a source name it. Answers who asks for it. */
  own(secret: Versioned<SecretConfig>): readonly string[] {
    const { name } = secret.config;
    this.#static.set(name, secret);
    const key = secretKey({ from: "static", name });
    const users = this.#users.get(key);
    if (users === undefined) return [];
    users.timer?.cancel();
    this.#draft.put("secret", key, secret.config);
    return [...users.owners];
  }

  /** One of the process's own is of no use any more: who asks for it connects nobody until it comes again. */
  withdraw(name: string): void {
    if (!this.#static.delete(name)) return;
    const key = secretKey({ from: "static", name });
    if (this.#users.has(key)) this.#draft.drop("secret", key);
  }

  /** Replaces what an owner ("listener/a") asks for; nothing ends it. */
  want(owner: string, references: readonly SecretReference[]): void {
    const before = this.#ownersWants.get(owner);
    if (before === undefined && references.length === 0) return;
    const wanted = new Map(references.map((reference) => [secretKey(reference), reference]));
    for (const [key, reference] of wanted) {
      const users = this.#users.get(key);
      if (users !== undefined) users.owners.add(owner);
      else this.#begin(key, reference, owner);
    }
    for (const [key] of before ?? []) if (!wanted.has(key)) this.#leave(key, owner);
    if (wanted.size === 0) this.#ownersWants.delete(owner);
    else this.#ownersWants.set(owner, wanted);
  }

  /** A secret came by SDS, under that key. Answers who asks for it; what nobody asks for is ignored. */
  update(key: string, secret: Versioned<SecretConfig>): readonly string[] {
    const users = this.#users.get(key);
    if (users === undefined) return [];
    users.timer?.cancel();
    this.#dynamic.set(key, secret);
    this.#draft.put("secret", key, secret.config);
    return [...users.owners];
  }

  /** Those that are waited for. */
  missing(references: readonly SecretReference[]): readonly SecretReference[] {
    return references.filter((reference) => {
      const key = secretKey(reference);
      return this.#find(key, reference) === undefined && this.#users.get(key)?.gaveUp !== true;
    });
  }

  /** Forgets secrets that nobody asks for, at the end of a step: another owner may have taken them up in it. */
  forgetUnused(): void {
    for (const key of this.#unused) {
      const users = this.#users.get(key);
      if (users?.owners.size !== 0) continue; // somebody has taken it up
      users.timer?.cancel();
      this.#users.delete(key);
      this.#wants = undefined;
      this.#dynamic.delete(key);
      this.#draft.drop("secret", key);
    }
    this.#unused.clear();
  }

  /** What to ask SDS for, and where. The same object until it changes. */
  get wants(): Wants {
    this.#wants ??= gatherWants(
      [...this.#users.values()].flatMap(({ reference }) => (reference.from === "sds" ? [wantedOf(reference)] : [])),
    );
    return this.#wants;
  }

  /** Cancels all timers. */
  close(): void {
    for (const { timer } of this.#users.values()) timer?.cancel();
  }

  *resources(): Generator<AssembledResource<SecretConfig>> {
    for (const [name, active] of this.#static) {
      yield { kind: "secret", name, source: "static", active, warming: undefined, waitingFor: [] };
    }
    for (const [key, { reference }] of this.#users) {
      if (reference.from === "static") continue;
      const active = this.#dynamic.get(key);
      yield {
        kind: "secret",
        ...wantedOf(reference),
        source: "dynamic",
        active,
        warming: undefined,
        waitingFor: active === undefined ? [`secret/${reference.name}`] : [],
      };
    }
  }

  #find(key: string, { from, name }: SecretReference): Versioned<SecretConfig> | undefined {
    return from === "static" ? this.#static.get(name) : this.#dynamic.get(key);
  }

  #begin(key: string, reference: SecretReference, owner: string): void {
    const users: Users = { reference, owners: new Set([owner]), gaveUp: false, timer: undefined };
    this.#users.set(key, users);
    this.#wants = undefined;
    const known = this.#find(key, reference);
    if (known !== undefined) this.#draft.put("secret", key, known.config);
    else this.#wait(users, reference);
  }

  #wait(users: Users, { source }: SecretReference): void {
    const patienceMs = source?.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS;
    if (patienceMs === 0) return;
    users.timer = this.#clock.after(
      patienceMs,
      () => {
        users.gaveUp = true;
        this.#onTimeout([...users.owners]);
      },
      true,
    );
  }

  #leave(key: string, owner: string): void {
    const users = this.#users.get(key);
    users?.owners.delete(owner);
    if (users?.owners.size === 0) this.#unused.add(key);
  }
}

interface Users {
  readonly reference: SecretReference;
  readonly owners: Set<string>;
  /** It has not come in time. */
  gaveUp: boolean;
  timer: Timer | undefined;
}

function wantedOf({ name, source }: SecretReference): Wanted {
  return source === undefined || source.from.type === "self" ? { name } : { name, origin: source.from };
}

export function secretsOfListener(config: ListenerConfig | undefined): readonly SecretReference[] {
  if (config === undefined) return [];
  return filterChainsOf(config).flatMap(({ tls }) => (tls === undefined ? [] : secretsOf(tls)));
}

export function secretsOfCluster(config: ClusterConfig | undefined): readonly SecretReference[] {
  if (config === undefined) return [];
  const { tls, transportSocketMatches = [] } = config;
  return [tls, ...transportSocketMatches.map((match) => match.tls)].flatMap((one) =>
    one === undefined ? [] : secretsOf(one),
  );
}
