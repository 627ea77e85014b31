import { type Clock, err, isJsonObject, type JsonObject, Live, ok, type Result } from "@heddle/base";
import { WEBHOOK_REVISION_LABEL } from "@heddle/inject";
import type { Labels } from "@heddle/telemetry";
import type { TestedOperation, WebhookConfigurations } from "../webhook/ca-bundles.ts";
import type { NamespaceLabels } from "../webhook/namespace-labels.ts";
import type { WebhookCluster } from "../webhook/start-webhooks.ts";
import type { KubeApi } from "./kube-client.ts";
import { KubeError, reasonOf } from "./kube-error.ts";
import { type KubeObject, Reflector } from "./reflector.ts";
import { METADATA_ONLY } from "./watched-kinds.ts";

export interface KubeWebhookClusterOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  /** Whose webhook configurations are followed; undefined: none, since somebody else keeps them. */
  readonly revision: string | undefined;
  /** Of several replicas one writes. */
  readonly isLeader: Live<boolean>;
}

const NAMESPACES = "/api/v1/namespaces";
const GROUP = "/apis/admissionregistration.k8s.io/v1";
const CONFIGURATIONS = {
  MutatingWebhookConfiguration: `${GROUP}/mutatingwebhookconfigurations`,
  ValidatingWebhookConfiguration: `${GROUP}/validatingwebhookconfigurations`,
} as const;
type ConfigurationKind = keyof typeof CONFIGURATIONS;
const KINDS = Object.keys(CONFIGURATIONS) as readonly ConfigurationKind[];

/** At a time; reviews that ask for more go by what has been seen. */
const MAX_LOOKS = 64;

/** What the webhooks have of Kubernetes: the labels of its namespaces, and their own configurations. */
export class KubeWebhookCluster implements WebhookCluster {
  readonly namespaces: NamespaceLabels;
  readonly configurations: WebhookConfigurations | undefined;
  readonly isLeader: Live<boolean>;
  readonly #api: KubeApi;
  readonly #clock: Clock;
  readonly #labels: Reflector<Labels>;
  readonly #configurations: readonly Reflector<JsonObject>[];
  #looks = 0;

  constructor({ api, clock, revision, isLeader }: KubeWebhookClusterOptions) {
    this.#api = api;
    this.#clock = clock;
    this.isLeader = isLeader;
    this.#labels = new Reflector({
      api,
      clock,
      path: NAMESPACES,
      accept: METADATA_ONLY,
      read: ({ json }) => labelsOf(json),
      onChange: () => undefined,
    });
    this.namespaces = {
      known: (name) => this.#labels.get(name),
      labelsOf: (name, withinMs) => this.#look(name, withinMs),
    };
    const current = new Live<readonly JsonObject[] | undefined>(undefined);
    const publish = (): void => {
      if (this.#configurations.every(({ isSynchronised }) => isSynchronised))
        current.publish(this.#configurations.flatMap((reflector) => [...reflector.values()]));
    };
    this.#configurations = (revision === undefined ? [] : KINDS).map(
      (kind) =>
        new Reflector<JsonObject>({
          api,
          clock,
          path: CONFIGURATIONS[kind],
          query: { labelSelector: `${WEBHOOK_REVISION_LABEL}=${revision}` },
          // An item of a list does not say its kind.
          read: ({ json }: KubeObject) => ({ ...json, kind }),
          isDispensable: true,
          onChange: publish,
        }),
    );
    this.configurations =
      revision === undefined ? undefined : { current, patch: (kind, name, patch) => this.#patch(kind, name, patch) };
  }

  start(): void {
    for (const reflector of [this.#labels, ...this.#configurations]) reflector.start();
  }

  /** Namespaces that cannot be read are no reason: each is looked up when it is asked about. */
  notReady(): string | undefined {
    return this.#labels.isSynchronised || this.#labels.trouble !== undefined
      ? undefined
      : "the namespaces are not known yet";
  }

  async close(): Promise<void> {
    await Promise.all([this.#labels, ...this.#configurations].map((reflector) => reflector.close()));
  }

  async #look(name: string, withinMs: number): Promise<Result<Labels | undefined, string>> {
    if (this.#looks >= MAX_LOOKS) return err("too many namespaces are being looked up");
    const timeout = new AbortController();
    const timer = this.#clock.after(withinMs, () => timeout.abort(), true);
    this.#looks += 1;
    try {
      const path = `${NAMESPACES}/${encodeURIComponent(name)}`;
      const found = await this.#api.request({ method: "GET", path, accept: METADATA_OF_ONE, signal: timeout.signal });
      return isJsonObject(found) ? ok(labelsOf(found)) : err("the answer is no object");
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return ok(undefined);
      return err(timeout.signal.aborted ? "no answer in time" : reasonOf(error));
    } finally {
      this.#looks -= 1;
      timer.cancel();
    }
  }

  async #patch(kind: string, name: string, patch: readonly TestedOperation[]): Promise<Result<undefined, string>> {
    const path = KINDS.includes(kind as ConfigurationKind) ? CONFIGURATIONS[kind as ConfigurationKind] : undefined;
    if (path === undefined) return err(`${kind} is no kind of webhook configurations`);
    try {
      await this.#api.request({
        method: "PATCH",
        path: `${path}/${encodeURIComponent(name)}`,
        contentType: "application/json-patch+json",
        body: patch,
      });
      return ok(undefined);
    } catch (error) {
      return err(reasonOf(error));
    }
  }
}

const METADATA_OF_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

function labelsOf({ metadata }: JsonObject): Labels {
  const labels = isJsonObject(metadata) ? metadata["labels"] : undefined;
  if (!isJsonObject(labels)) return {};
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
