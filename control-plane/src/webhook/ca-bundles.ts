import { Backoff, type Clock, isJsonObject, type JsonObject, type Live, type Result, type Timer } from "@heddle/base";
import { WEBHOOK_CONFIGURATION_PREFIX, WEBHOOK_REVISION_LABEL } from "@heddle/inject";
import type { Counter, Log, MetricScope } from "@heddle/telemetry";
import type { PatchOperation } from "./json-patch.ts";

/** The webhook configurations of a cluster, as Kubernetes tells of them. */
export interface WebhookConfigurations {
  /** All of them, of both kinds; undefined: they are not known yet. */
  readonly current: Live<readonly JsonObject[] | undefined>;
  /** Applies a JSON patch to one. The error says why not. Never rejects. */
  patch(kind: string, name: string, patch: readonly TestedOperation[]): Promise<Result<undefined, string>>;
}

/** A `test` that fails leaves everything as it is (RFC 6902 §4.6). */
export type TestedOperation = PatchOperation | { readonly op: "test"; readonly path: string; readonly value: string };

export interface CaBundleOptions {
  readonly configurations: WebhookConfigurations;
  /** PEM; undefined: not known, and nothing is written. */
  readonly roots: Live<string | undefined>;
  /** Configurations with that label are ours. */
  readonly revision: string;
  /** Of several control planes one writes. */
  readonly isLeader: Live<boolean>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

const RETRY = { baseMs: 500, maxMs: 30_000 };

/**
 * Keeps `caBundle` in our webhook configurations what an API server needs to know the webhooks by: all roots that are to be
 * trusted now, so while one replaces another both. Whatever else stands there is its author's. Who deletes or changes one while
 * this runs has the bundle back in a moment; the configurations themselves are `heddle install`'s.
 */
export class CaBundles {
  readonly #options: CaBundleOptions;
  readonly #backoff = new Backoff(RETRY);
  readonly #unwatch: readonly (() => void)[];
  readonly #written: Counter;
  readonly #failed: Counter;
  #timer: Timer | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isWaiting = false;
  #isClosed = false;

  constructor(options: CaBundleOptions) {
    this.#options = options;
    const scope = options.metrics.scope("webhook");
    this.#written = scope.counter("ca_bundles_written");
    this.#failed = scope.counter("ca_bundles_failed");
    const look = (): void => this.#look();
    this.#unwatch = [
      options.configurations.current.watch(look),
      options.roots.watch(look),
      options.isLeader.watch(look),
    ];
    this.#look();
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#unwatch) stop();
    this.#timer?.cancel();
    await this.#turn;
  }

  /** Looks once more, and once however often it is called before that has begun. */
  #look(): void {
    if (this.#isWaiting || this.#isClosed) return;
    this.#isWaiting = true;
    this.#turn = this.#turn.then(() => {
      this.#isWaiting = false;
      this.#timer?.cancel();
      return this.#write();
    });
  }

  async #write(): Promise<void> {
    const { configurations, roots, revision, isLeader, clock, log } = this.#options;
    if (this.#isClosed || !isLeader.current || roots.current === undefined) return;
    const bundle = Buffer.from(roots.current).toString("base64");
    let failed = false;
    for (const configuration of configurations.current.current ?? []) {
      const patch = bundlePatch(configuration, revision, bundle);
      if (patch.length === 0) continue;
      const { kind, name } = identityOf(configuration);
      const written = await configurations.patch(kind, name, patch);
      if (this.#isClosed) return;
      if (written.ok) {
        this.#written.add();
        log.info("a webhook configuration has the mesh's roots", { kind, name });
      } else {
        failed = true;
        this.#failed.add();
        log.warn("a webhook configuration cannot be given the mesh's roots", { kind, name, why: written.error });
      }
    }
    if (failed) this.#timer = clock.after(this.#backoff.nextMs(), () => this.#look(), true);
    else this.#backoff.reset();
  }
}

/** Each webhook of ours in it whose bundle is another; whoever has moved them meanwhile has the patch refused. */
export function bundlePatch(configuration: JsonObject, revision: string, bundle: string): readonly TestedOperation[] {
  const { name, labels } = identityOf(configuration);
  if (!name.startsWith(WEBHOOK_CONFIGURATION_PREFIX) || labels[WEBHOOK_REVISION_LABEL] !== revision) return [];
  const webhooks = Array.isArray(configuration["webhooks"]) ? configuration["webhooks"] : [];
  return webhooks.flatMap((webhook, index): readonly TestedOperation[] => {
    if (!isJsonObject(webhook) || !isJsonObject(webhook["clientConfig"])) return [];
    const { name: webhookName, clientConfig } = webhook;
    if (typeof webhookName !== "string" || !OWN_WEBHOOK.test(webhookName)) return [];
    if (clientConfig["caBundle"] === bundle) return [];
    return [
      { op: "test", path: `/webhooks/${index}/name`, value: webhookName },
      { op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: bundle },
    ];
  });
}

const OWN_WEBHOOK = /\.(inject|validate)\.heddle\.dev$/;

function identityOf({ kind, metadata }: JsonObject) {
  const { name, labels } = isJsonObject(metadata) ? metadata : {};
  return {
    kind: typeof kind === "string" ? kind : "",
    name: typeof name === "string" ? name : "",
    labels: isJsonObject(labels) ? labels : {},
  };
}
