import type { FilterContext, HttpFilterFactory, HttpFilterRegistry, HttpFilterType } from "@heddle/filter";
import { extensionKey, type HttpFilterConfig, MISSING_CONFIG_TYPE, type TypedConfig } from "@heddle/traffic";
import { missingConfigFactory, missingTerminalFactory } from "../filter/missing-config.ts";

/** What ECDS has brought, by `extensionKey`. */
export type Extensions = ReadonlyMap<string, TypedConfig>;

export const NO_EXTENSIONS: Extensions = new Map();

/** A filter that has been built from one configuration. */
export interface BuiltFilter {
  readonly typed: TypedConfig;
  readonly factory: HttpFilterFactory;
  readonly type: Pick<HttpFilterType, "parseRoute">;
  /** It ends the chain. */
  readonly terminal: boolean;
}

/** Builds HTTP filters. Throws, naming the filter, on what validation refuses. */
export class FilterBuilder {
  readonly #registry: HttpFilterRegistry;
  readonly #contextOf: (filterName: string) => FilterContext;

  constructor(registry: HttpFilterRegistry, contextOf: (filterName: string) => FilterContext) {
    this.#registry = registry;
    this.#contextOf = contextOf;
  }

  /** `previous`: the filter as it was built before; where its configuration is the same, so is it, with its state. */
  build(config: HttpFilterConfig, extensions: Extensions, previous?: BuiltFilter): BuiltFilter {
    const { name, discovery } = config;
    const found = discovery && extensions.get(extensionKey(name, discovery));
    // What came for another listener may be of a type that this one does not take.
    const typed = found !== undefined && discovery?.types.includes(found.type) === true ? found : config.config;
    if (previous?.typed === typed) return previous;
    if (typed.type === MISSING_CONFIG_TYPE) return this.#missing(config, typed);
    const type = this.#registry.get(typed.type);
    if (type === undefined) {
      const known = this.#registry.configTypes.join(", ");
      throw new Error(`HTTP filter "${name}": unknown type ${typed.type}; known are ${known}`);
    }
    const factory = makeFactory(name, typed, type, this.#contextOf(name));
    return { typed, factory, type, terminal: type.terminal === true };
  }

  #missing({ discovery }: HttpFilterConfig, typed: TypedConfig): BuiltFilter {
    const terminal = discovery?.types.some((type) => this.#registry.get(type)?.terminal === true) === true;
    return { typed, factory: terminal ? missingTerminalFactory : missingConfigFactory, type: {}, terminal };
  }
}

function makeFactory(
  name: string,
  { config }: TypedConfig,
  type: HttpFilterType,
  context: FilterContext,
): HttpFilterFactory {
  const parsed = type.parse(config);
  if (parsed.ok) return type.create(parsed.value, context);
  const issues = parsed.error.map(({ path, message }) => `${path}: ${message}`).join("; ");
  throw new Error(`HTTP filter "${name}": ${issues}`);
}
