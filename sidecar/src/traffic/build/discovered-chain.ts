import type { Live } from "@heddle/base";
import type { FilterChain, HttpFilterFactory } from "@heddle/filter";
import type { HttpFilterConfig } from "@heddle/traffic";
import { joinFilterChain } from "./build-filter-chain.ts";
import type { BuiltFilter, Extensions, FilterBuilder } from "./filter-builder.ts";

/**
 * A filter chain some of whose filters get their configuration by ECDS. When one comes anew, only that filter is built anew; the
 * chain is another one from then on, for exchanges to come. Those under way keep theirs.
 */
export class DiscoveredChain {
  readonly #configs: readonly HttpFilterConfig[];
  readonly #builder: FilterBuilder;
  readonly #bufferLimitBytes: number;
  readonly #onChange: (chain: FilterChain) => void;
  readonly #stop: () => void;
  #filters: readonly BuiltFilter[];
  #chain: FilterChain;

  /** Throws on what cannot be built now; later such a configuration leaves the chain as it is, and `onBroken` hears of it. */
  constructor(
    configs: readonly HttpFilterConfig[],
    builder: FilterBuilder,
    bufferLimitBytes: number,
    extensions: Live<Extensions>,
    onChange: (chain: FilterChain) => void,
    onBroken: (error: unknown) => void,
  ) {
    this.#configs = configs;
    this.#builder = builder;
    this.#bufferLimitBytes = bufferLimitBytes;
    this.#onChange = onChange;
    this.#filters = configs.map((config) => builder.build(config, extensions.current));
    this.#chain = joinFilterChain(configs, this.#filters, bufferLimitBytes);
    this.#stop = extensions.watch((next) => {
      try {
        this.#rebuild(next);
      } catch (error) {
        onBroken(error);
      }
    });
  }

  get current(): FilterChain {
    return this.#chain;
  }

  /** The chain stays as it is from now on. Its owner closes it. */
  stop(): void {
    this.#stop();
  }

  #rebuild(extensions: Extensions): void {
    const before = this.#filters;
    const filters = this.#configs.map((config, index) => this.#builder.build(config, extensions, before[index]));
    const replaced = before.filter((filter, index) => filter !== filters[index]);
    if (replaced.length === 0) return;
    const chain = joinFilterChain(this.#configs, filters, this.#bufferLimitBytes);
    for (const { factory } of replaced) if (factory.close !== undefined) LEFT.register(this.#chain, factory);
    this.#filters = filters;
    this.#chain = chain;
    this.#onChange(chain);
  }
}

/**
 * Exchanges hold their chain to their end, and nobody counts them. So what tells that the last is gone is the chain's own
 * end: a factory that wants to know of its own is told then.
 */
const LEFT = new FinalizationRegistry<HttpFilterFactory>((factory) => factory.close?.());
