import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { DetailedPeerCertificate, PeerCertificate } from "node:tls";
import { Backoff, type Clock, err, isJsonObject, type Json, Live, type Result, type Timer } from "@heddle/base";
import {
  formatSpiffeId,
  formatTrustBundle,
  MAX_BUNDLE_BYTES,
  parseTrustBundle,
  type SpiffeId,
  type TrustBundle,
  TrustBundles,
  trustBundleFromPem,
  trustBundlePem,
  verifySvid,
} from "@heddle/identity";
import type { Log, MetricScope } from "@heddle/telemetry";
import { StartError } from "../serve/address.ts";
import { certificateChainOf } from "../serve/certificate-chain.ts";
import type { Store } from "../store/store.ts";

/** Another trust domain, whose workloads are to be known here (SPIFFE Federation §5.1). */
export interface FederatedDomain {
  readonly trustDomain: string;
  /** Of its bundle endpoint; https. */
  readonly url: string;
  /** Profile https_web: PEM of those who may have signed the endpoint's certificate; undefined: whom this machine trusts. */
  readonly caFile: string | undefined;
  /** Profile https_spiffe: what the endpoint is called, and the first bundle to know it by. Undefined: https_web. */
  readonly spiffe: { readonly id: SpiffeId; readonly bundleFile: string } | undefined;
}

export interface FederationOptions {
  readonly domains: readonly FederatedDomain[];
  /** The authority's: what was fetched last outlives the process. */
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly random?: () => number;
}

/** Trust Domain and Bundle §4.1.2: five minutes where a bundle does not say. */
const DEFAULT_REFRESH_S = 300;
const REFRESH_S = { least: 10, most: 86_400 };
const RETRY = { baseMs: 1000, maxMs: 300_000 };
const TIMEOUT_MS = 10_000;
const PREFIX = "federated/";

/**
 * Bundles of other trust domains, fetched as often as they ask for. What cannot be fetched or read changes nothing: the last
 * good bundle stays, also over a restart. One with a lower sequence number than the last is an old one, and is not taken.
 */
export class Federation {
  readonly bundles: Live<readonly TrustBundle[]>;
  readonly #domains: readonly FollowedDomain[];

  private constructor(domains: readonly FollowedDomain[], bundles: Live<readonly TrustBundle[]>) {
    this.#domains = domains;
    this.bundles = bundles;
  }

  /** Reads what is known, and begins to follow. Rejects with a `StartError` where a file cannot be used. */
  static async open(options: FederationOptions): Promise<Federation> {
    const bundles = new Live<readonly TrustBundle[]>([]);
    const domains: FollowedDomain[] = [];
    const publish = (): void => void bundles.publish(domains.flatMap(({ bundle }) => bundle ?? []));
    for (const domain of options.domains) domains.push(await FollowedDomain.open(domain, options, publish));
    publish();
    for (const domain of domains) domain.start();
    return new Federation(domains, bundles);
  }

  inspect(): Json {
    return this.#domains.map((domain) => domain.inspect());
  }

  async close(): Promise<void> {
    for (const domain of this.#domains) await domain.close();
  }
}

class FollowedDomain {
  readonly #domain: FederatedDomain;
  readonly #options: FederationOptions;
  readonly #onChange: () => void;
  readonly #webCa: string | undefined;
  readonly #first: string;
  readonly #backoff: Backoff;
  bundle: TrustBundle | undefined;
  #fetchedAtMs: number | undefined;
  #fault = "";
  #timer: Timer | undefined;
  #fetching: Promise<void> = Promise.resolve();
  readonly #abort = new AbortController();

  private constructor(
    domain: FederatedDomain,
    options: FederationOptions,
    onChange: () => void,
    { webCa, first, bundle }: KnownOfDomain,
  ) {
    this.#domain = domain;
    this.#options = options;
    this.#onChange = onChange;
    this.#webCa = webCa;
    this.#first = first;
    this.bundle = bundle;
    this.#backoff = new Backoff(RETRY, options.random);
  }

  static async open(
    domain: FederatedDomain,
    options: FederationOptions,
    onChange: () => void,
  ): Promise<FollowedDomain> {
    const { trustDomain, caFile, spiffe } = domain;
    const webCa = caFile === undefined ? undefined : await readText(caFile);
    const text = spiffe && (await readText(spiffe.bundleFile));
    // An operator who has put another first bundle there has a reason: what was fetched by the last one led nowhere.
    const first = text === undefined ? "" : createHash("sha256").update(text).digest("hex");
    let bundle = storedBundle(trustDomain, first, options.store);
    if (bundle === undefined && text !== undefined && spiffe !== undefined) {
      const read = text.trimStart().startsWith("{")
        ? parseTrustBundle(spiffe.id.trustDomain, text)
        : trustBundleFromPem(spiffe.id.trustDomain, text);
      if (!read.ok) throw new StartError(`federation with ${trustDomain}: ${spiffe.bundleFile} ${read.error}`);
      bundle = read.value;
    }
    return new FollowedDomain(domain, options, onChange, { webCa, first, bundle });
  }

  start(): void {
    this.#fetching = this.#fetch();
  }

  inspect(): Json {
    const { trustDomain, url, spiffe } = this.#domain;
    return {
      trustDomain,
      url,
      profile: spiffe === undefined ? "https_web" : "https_spiffe",
      sequenceNumber: this.bundle?.sequenceNumber ?? null,
      fetchedAt: this.#fetchedAtMs === undefined ? null : new Date(this.#fetchedAtMs).toISOString(),
      ...(this.#fault !== "" && { error: this.#fault }),
    };
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#fetching;
  }

  /** Never rejects. */
  async #fetch(): Promise<void> {
    const { clock, log, metrics, random = Math.random } = this.#options;
    const { trustDomain, url } = this.#domain;
    const fetched = await this.#ask();
    if (this.#abort.signal.aborted) return;
    let waitMs: number;
    if (fetched.ok) {
      this.#fault = "";
      this.#backoff.reset();
      this.#fetchedAtMs = clock.wallNow();
      await this.#take(fetched.value);
      const hintS = fetched.value.refreshHintSeconds || DEFAULT_REFRESH_S;
      waitMs = Math.min(REFRESH_S.most, Math.max(REFRESH_S.least, hintS)) * 1000 * (0.9 + 0.1 * random());
    } else {
      if (fetched.error !== this.#fault)
        log.warn("the bundle of a federated trust domain could not be fetched; the last good one stays", {
          trustDomain,
          url,
          why: fetched.error,
        });
      this.#fault = fetched.error;
      metrics.scope("ca").counter("federation_failures", { trust_domain: trustDomain }).add();
      waitMs = RETRY.baseMs + this.#backoff.nextMs();
    }
    if (!this.#abort.signal.aborted)
      this.#timer = clock.after(
        waitMs,
        () => {
          this.#fetching = this.#fetch();
        },
        true,
      );
  }

  async #take(next: TrustBundle): Promise<void> {
    const { store, log } = this.#options;
    const { trustDomain } = this.#domain;
    const text = formatTrustBundle(next);
    const isFirst = store.entries?.get(PREFIX + trustDomain) === undefined;
    if (!isFirst && this.bundle !== undefined && formatTrustBundle(this.bundle) === text) return;
    this.bundle = next;
    this.#onChange();
    log.info("the bundle of a federated trust domain has changed", {
      trustDomain,
      sequenceNumber: next.sequenceNumber,
      x509Authorities: next.x509Authorities.length,
    });
    // What cannot be stored is fetched again after a restart.
    const value = Buffer.from(JSON.stringify({ format: FORMAT, first: this.#first, bundle: text }));
    await store.commit([{ key: PREFIX + trustDomain, value }]);
  }

  async #ask(): Promise<Result<TrustBundle, string>> {
    const { trustDomain, url } = this.#domain;
    const { Agent, request } = await import("undici");
    // A connection of its own each time: what it is verified by may have changed.
    const agent = new Agent({
      connect: { ...this.#verification(), timeout: TIMEOUT_MS, maxCachedSessions: 0 },
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      maxResponseSize: MAX_BUNDLE_BYTES,
    });
    try {
      const response = await request(url, {
        dispatcher: agent,
        headers: { accept: "application/json" },
        signal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      const text = await response.body.text();
      // A redirect is followed by nobody: it would be another endpoint than the one that is configured.
      if (response.statusCode !== 200) return err(`the endpoint answered ${response.statusCode}`);
      const bundle = parseTrustBundle(trustDomain, text);
      if (!bundle.ok) return err(`its bundle ${bundle.error}`);
      const known = this.bundle?.sequenceNumber ?? 0;
      return bundle.value.sequenceNumber < known
        ? err(`its bundle is an old one: sequence number ${bundle.value.sequenceNumber}, and ${known} is known`)
        : bundle;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return err(code ?? message);
    } finally {
      await agent.destroy();
    }
  }

  #verification(): object {
    const { spiffe } = this.#domain;
    if (spiffe === undefined) return this.#webCa === undefined ? {} : { ca: this.#webCa };
    // §5.2.2: by the endpoint's SPIFFE ID and the last known bundle, and by no name of DNS.
    const trusted = this.bundle;
    const { clock } = this.#options;
    return {
      ca: trusted === undefined ? [] : [trustBundlePem(trusted)],
      checkServerIdentity: (_host: string, peer: PeerCertificate) => {
        const bundles = new TrustBundles(
          trusted === undefined ? [] : [{ ...trusted, trustDomain: spiffe.id.trustDomain }],
        );
        const verified = verifySvid(certificateChainOf(peer as DetailedPeerCertificate), bundles, clock.wallNow());
        if (!verified.ok) return new Error(verified.error);
        return formatSpiffeId(verified.value.spiffeId) === formatSpiffeId(spiffe.id)
          ? undefined
          : new Error("the endpoint has another SPIFFE ID than the one that is configured");
      },
    };
  }
}

interface KnownOfDomain {
  /** PEM. */
  readonly webCa: string | undefined;
  /** SHA-256 of the first bundle's file; "" without one. */
  readonly first: string;
  readonly bundle: TrustBundle | undefined;
}

const FORMAT = 1;

/** What was fetched last, by way of that first bundle. */
function storedBundle(trustDomain: string, first: string, store: Store): TrustBundle | undefined {
  const entry = store.entries?.get(PREFIX + trustDomain);
  if (entry === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(entry.value).toString());
  } catch {
    return undefined;
  }
  if (!isJsonObject(json) || json["format"] !== FORMAT || json["first"] !== first) return undefined;
  const text = json["bundle"];
  const read = parseTrustBundle(trustDomain, typeof text === "string" ? text : "");
  return read.ok ? read.value : undefined;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new StartError(`federation: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
