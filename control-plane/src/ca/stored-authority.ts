import { type Clock, err, type Json, Live, ok, type Result, type Timer } from "@heddle/base";
import { Certificate } from "@heddle/identity";
import {
  Authority,
  advanceRotation,
  beginRotation,
  nextRotationStepMs,
  publishedRoots,
  type RootRotation,
  type RotationTimes,
  type SealSecret,
  seal,
  signingRoot,
  steady,
  unseal,
} from "@heddle/identity/ca";
import type { Log } from "@heddle/telemetry";
import { StartError } from "../serve/address.ts";
import type { Store, StoredEntry } from "../store/store.ts";
import type { AuthoritySource, AuthorityState } from "./authority-source.ts";
import { decodeRootState, encodeRootState, type RootState, type StoredRoot } from "./root-state.ts";

export interface StoredAuthorityOptions {
  readonly trustDomain: string;
  /** Of the authority. */
  readonly store: Store;
  /** What keys are sealed under; asked once. `exists`: keys are sealed already, so a new secret would open none. */
  readonly secret: (exists: boolean) => Promise<SealSecret>;
  readonly times: RotationTimes;
  readonly clock: Clock;
  readonly log: Log;
}

const KEY = "state";
const MAX_SLEEP_MS = 60_000;

/**
 * An authority that was made here. Its roots are in the store, their keys sealed. Several control planes on one store have
 * one authority: whoever comes first makes it, and every step of a rotation is written with the revision that was read.
 */
export class StoredAuthority implements AuthoritySource {
  readonly current = new Live<AuthorityState | undefined>(undefined);
  readonly #options: StoredAuthorityOptions;
  #secret: SealSecret | undefined;
  #state: { readonly revision: number; readonly value: RootState } | undefined;
  /** By root's name: a key under a passphrase takes a quarter of a second to open. */
  readonly #opened = new Map<string, Authority>();
  #turn: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #unwatch: () => void = () => {};
  #isClosed = false;

  private constructor(options: StoredAuthorityOptions) {
    this.#options = options;
  }

  /**
   * Reads the store, or makes an authority where it has none. Rejects with a `StartError` where what is stored cannot be used.
   * A store that has not been read yet is waited for by nobody: `current` stays undefined until it has.
   */
  static async open(options: StoredAuthorityOptions): Promise<StoredAuthority> {
    const authority = new StoredAuthority(options);
    if (options.store.entries !== undefined) await authority.#load();
    authority.#unwatch = options.store.watch(({ changed, removed }) => {
      if (authority.#state === undefined || changed.some(({ key }) => key === KEY) || removed.includes(KEY))
        authority.#loadLater();
    });
    return authority;
  }

  status(): Json {
    const state = this.#state?.value;
    if (state === undefined) return { kind: "stored", state: "the store has not been read" };
    const { rotation, roots, sequenceNumber } = state;
    const next = nextRotationStepMs(rotation);
    return {
      kind: "stored",
      state: rotation.type,
      ...(next !== undefined && { nextStepAt: new Date(next).toISOString() }),
      sequenceNumber,
      roots: roots.map(({ name, certificate }) => {
        const { validFromMs, validToMs, subject } = rootOf(certificate);
        return {
          sha256: name,
          role: name === signingRoot(rotation) ? "signs" : rotation.type === "publishing" ? "next" : "previous",
          subject,
          notBefore: new Date(validFromMs).toISOString(),
          notAfter: new Date(validToMs).toISOString(),
        };
      }),
    };
  }

  /** Begins to replace the root: a new one is published, and signs later. The error says why not, for people. */
  async beginRotation(): Promise<Result<void, string>> {
    const known = this.#state;
    if (known === undefined) return err("the store has not been read");
    const { trustDomain, times, clock, log } = this.#options;
    const now = clock.wallNow();
    const root = await this.#makeRoot(now);
    const rotation = beginRotation(known.value.rotation, root.name, now, times);
    if (!rotation.ok) return rotation;
    const written = await this.#write(known.revision, {
      trustDomain,
      rotation: rotation.value,
      roots: [...known.value.roots, root],
      sequenceNumber: known.value.sequenceNumber + 1,
    });
    if (written.ok) log.info("root rotation begins: the next root is published", { trustDomain, next: root.name });
    return written;
  }

  /** Takes the next step of a rotation now, as if its time had come. The error says why not, for people. */
  async hurryRotation(): Promise<Result<void, string>> {
    const rotation = this.#state?.value.rotation;
    if (rotation === undefined || rotation.type === "steady") return err("no rotation is under way");
    const untilMs = this.#options.clock.wallNow();
    const advanced = await this.#advance({ ...rotation, untilMs });
    return advanced.ok ? ok(undefined) : advanced;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unwatch();
    this.#timer?.cancel();
    await this.#turn;
  }

  #loadLater(): void {
    this.#turn = this.#turn
      .then(() => (this.#isClosed ? undefined : this.#load()))
      .catch((error: unknown) => {
        // What signs now goes on signing: it is what everybody trusts.
        const why = error instanceof Error ? error.message : String(error);
        this.#options.log.error("the stored authority cannot be used; the last good one stays", { why });
      });
  }

  async #load(): Promise<void> {
    const { store, trustDomain } = this.#options;
    if (store.entries === undefined) return;
    const known = this.#state;
    const found = store.entries.get(KEY);
    // Everybody trusts the one that is known: another, made because somebody emptied the store, would cut the mesh in two.
    if (found === undefined && known !== undefined)
      throw new StartError(`certificate authority: ${store.name} has lost it`);
    const entry = found ?? (await this.#create());
    if (entry === undefined || entry.revision === known?.revision) return;
    const state = decodeRootState(entry.value);
    if (!state.ok) throw new StartError(`certificate authority: what ${store.name} holds of it ${state.error}`);
    if (state.value.trustDomain !== trustDomain)
      throw new StartError(
        `certificate authority: ${store.name} has that of the trust domain "${state.value.trustDomain}", and --trust-domain says "${trustDomain}"`,
      );
    // An old state would bring roots back that have been replaced, and whoever has their keys; it only ever grows.
    if (known !== undefined && state.value.sequenceNumber < known.value.sequenceNumber)
      throw new StartError(
        `certificate authority: ${store.name} has an old state of it: sequence number ${state.value.sequenceNumber}, and ${known.value.sequenceNumber} is known`,
      );
    const authority = await this.#open(state.value);
    this.#state = { revision: entry.revision, value: state.value };
    this.current.publish({
      authority,
      roots: state.value.roots.map(({ certificate }) => rootOf(certificate).der),
      sequenceNumber: state.value.sequenceNumber,
    });
    this.#sleep();
  }

  async #open({ rotation, roots, trustDomain }: RootState): Promise<Authority> {
    const name = signingRoot(rotation);
    const published = publishedRoots(rotation);
    for (const known of this.#opened.keys()) if (!published.includes(known)) this.#opened.delete(known);
    const opened = this.#opened.get(name);
    if (opened !== undefined) return opened;
    const root = roots.find((each) => each.name === name);
    if (root?.sealedKey === undefined)
      throw new StartError("certificate authority: the store has no key of the root that signs");
    this.#secret ??= await this.#options.secret(true);
    const privateKey = await unseal(root.sealedKey, this.#secret);
    if (!privateKey.ok) throw new StartError(`certificate authority: the stored key ${privateKey.error}`);
    const nowMs = this.#options.clock.wallNow();
    const authority = Authority.fromFiles({
      trustDomain,
      certificates: root.certificate,
      privateKey: privateKey.value,
      nowMs,
    });
    if (!authority.ok) throw new StartError(`certificate authority: ${authority.error}`);
    this.#opened.set(name, authority.value);
    return authority.value;
  }

  /** The first root. Undefined where somebody else was first and has not been heard of yet, or nothing can be written. */
  async #create(): Promise<StoredEntry | undefined> {
    const { store, trustDomain, clock, log } = this.#options;
    this.#secret ??= await this.#options.secret(false);
    const root = await this.#makeRoot(clock.wallNow());
    const state: RootState = { trustDomain, sequenceNumber: 1, rotation: steady(root.name), roots: [root] };
    const outcome = await store.commit([{ key: KEY, value: encodeRootState(state), expectedRevision: 0 }]);
    if (outcome.type === "committed")
      log.info("a root certificate has been made", { trustDomain, sha256: root.name, store: store.name });
    else if (outcome.type !== "conflict")
      throw new StartError(`certificate authority: its root cannot be stored: ${outcome.message}`);
    return store.entries?.get(KEY);
  }

  async #makeRoot(nowMs: number): Promise<StoredRoot> {
    const { trustDomain } = this.#options;
    const root = await Authority.createRoot(trustDomain, { nowMs });
    const name = root.certificate.fingerprintSha256;
    this.#secret ??= await this.#options.secret(true);
    const sealedKey = await seal(root.exportKey(), this.#secret);
    this.#opened.set(name, root);
    return { name, certificate: root.rootsPem(), sealedKey };
  }

  /** Until the next step of a rotation is due, or until the root is old enough for one to begin. */
  #sleep(): void {
    this.#timer?.cancel();
    const state = this.#state?.value;
    if (state === undefined || this.#isClosed) return;
    const { clock, log } = this.#options;
    const dueMs = nextRotationStepMs(state.rotation) ?? oldAgeMs(state);
    // The wall clock may be set meanwhile, and a timer cannot be of years.
    const waitMs = Math.min(MAX_SLEEP_MS, Math.max(0, dueMs - clock.wallNow()));
    const step = async (): Promise<void> => {
      if (clock.wallNow() >= dueMs) {
        const stepped =
          state.rotation.type === "steady" ? await this.beginRotation() : await this.#advance(state.rotation);
        if (stepped.ok || this.#state?.value !== state) return; // the new state has a timer of its own
        log.warn("a step of the root rotation could not be taken; it is tried again", { why: stepped.error });
      }
      if (!this.#isClosed && this.#state?.value === state)
        this.#timer = clock.after(RETRY_MS, () => this.#sleep(), true);
    };
    this.#timer = clock.after(waitMs, () => void step(), true);
  }

  /** True: a step was due, and is taken. `rotation`: as it is, or with its time brought forward. */
  async #advance(rotation: RootRotation): Promise<Result<boolean, string>> {
    const known = this.#state;
    if (known === undefined) return err("the store has not been read");
    const { times, log, trustDomain, clock } = this.#options;
    const next = advanceRotation(rotation, clock.wallNow(), times);
    if (next === rotation) return ok(false);
    const published = publishedRoots(next);
    const roots = known.value.roots
      .filter(({ name }) => published.includes(name))
      .map((root) => (mayStillSign(next, root.name) ? root : { ...root, sealedKey: undefined }));
    const sequenceNumber = known.value.sequenceNumber + (roots.length === known.value.roots.length ? 0 : 1);
    const written = await this.#write(known.revision, { trustDomain, rotation: next, roots, sequenceNumber });
    if (!written.ok) return written;
    log.info("root rotation: a step is taken", { trustDomain, state: next.type, signs: signingRoot(next) });
    return ok(true);
  }

  async #write(revision: number, state: RootState): Promise<Result<void, string>> {
    const { store } = this.#options;
    const outcome = await store.commit([{ key: KEY, value: encodeRootState(state), expectedRevision: revision }]);
    if (outcome.type === "conflict") return err("another control plane has changed the authority; look again");
    if (outcome.type !== "committed") return err(outcome.message);
    this.#loadLater();
    await this.#turn;
    return ok(undefined);
  }
}

const RETRY_MS = 5000;
/** Of a root's life: when it is that old it is replaced, without anybody's asking. Ten years leave two for it. */
const OLD_AGE = 0.8;

function oldAgeMs({ rotation, roots }: RootState): number {
  const root = roots.find(({ name }) => name === signingRoot(rotation));
  if (root === undefined) return Number.POSITIVE_INFINITY;
  const { validFromMs, validToMs } = rootOf(root.certificate);
  return validFromMs + (validToMs - validFromMs) * OLD_AGE;
}

/** The key of a root that has signed its last certificate is nobody's business any more. */
function mayStillSign(rotation: RootRotation, name: string): boolean {
  return name === signingRoot(rotation) || (rotation.type === "publishing" && name === rotation.next);
}

function rootOf(pem: string): Certificate {
  return new Certificate(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64"));
}
