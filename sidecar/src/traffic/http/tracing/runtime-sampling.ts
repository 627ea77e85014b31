import { fractionOf, type LiveRuntime, type SamplingConfig } from "@heddle/traffic";

/** Envoy's keys, which stand above what the connection manager and its routes say. */
const KEYS = {
  client: "tracing.client_enabled",
  random: "tracing.random_sampling",
  overall: "tracing.global_enabled",
} as const;

/** What the runtime says of the sampling of traces; looked up when it has changed, and not per request. */
export class RuntimeSampling {
  readonly #runtime: LiveRuntime;
  #seen = 0; // of a runtime in which nothing has been published
  #said: Partial<SamplingConfig> | undefined;

  constructor(runtime: LiveRuntime) {
    this.#runtime = runtime;
  }

  /** The sampling itself where the runtime says nothing. */
  of(configured: SamplingConfig): SamplingConfig {
    if (this.#seen !== this.#runtime.version) this.#look();
    return this.#said === undefined ? configured : { ...configured, ...this.#said };
  }

  #look(): void {
    this.#seen = this.#runtime.version;
    const said = Object.entries(KEYS).flatMap(([part, key]) => {
      const fraction = fractionOf(this.#runtime.get(key));
      return fraction === undefined ? [] : [[part, fraction] as const];
    });
    this.#said = said.length === 0 ? undefined : Object.fromEntries(said);
  }
}
