import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { err, type Json, ok, type Result } from "@heddle/base";
import type { ConfigIssue, FilterModule, HttpFilterType } from "@heddle/filter";
import type { TypedConfig } from "@heddle/traffic";

export const MODULE_CONFIG_TYPE = "heddle.filters.http.v1.Module";

/** The configuration of a filter that is a module: where it is, and what it gets. */
export interface ModuleConfig {
  readonly modulePath: string;
  readonly config: Json;
}

/**
 * Filters that users wrote in TypeScript or JavaScript, loaded by path. Loading takes its time and may fail, so it is done
 * before a configuration is built: `prepare` what the configuration names, then build.
 *
 * A module whose file has changed since is loaded again under a new name, so a filter can be replaced while the sidecar
 * runs; chains that were built with the old one keep it.
 */
export class FilterModules {
  readonly #baseFolder: string;
  readonly #loadOnParse: boolean;
  readonly #loaded = new Map<string, { readonly version: number; readonly module: FilterModule }>();

  /**
   * Relative paths are taken from `baseFolder`, the one of the configuration. `loadOnParse` is for the thread that decides
   * whether configuration is accepted: there a module is loaded when its configuration is read, so that one that is
   * missing or does not like its configuration is a NACK.
   */
  constructor(baseFolder: string, options: { readonly loadOnParse?: boolean } = {}) {
    this.#baseFolder = baseFolder;
    this.#loadOnParse = options.loadOnParse === true;
  }

  /** Loads every module that filters' configurations name. All problems are told, not only the first. */
  async prepare(configs: readonly TypedConfig[]): Promise<Result<undefined, readonly string[]>> {
    const problems: string[] = [];
    for (const modulePath of new Set(configs.flatMap(modulePathOf))) {
      const result = await this.load(modulePath);
      if (!result.ok) problems.push(result.error);
    }
    return problems.length === 0 ? ok(undefined) : err(problems);
  }

  async load(modulePath: string): Promise<Result<FilterModule, string>> {
    const path = resolve(this.#baseFolder, modulePath);
    try {
      const version = (await stat(path)).mtimeMs;
      const known = this.#loaded.get(path);
      if (known?.version === version) return ok(known.module);
      const exports = (await import(`${pathToFileURL(path).href}?v=${version}`)) as { readonly default?: unknown };
      if (!isFilterModule(exports.default)) {
        return err(`${modulePath}: ${NO_FILTER}`);
      }
      this.#loaded.set(path, { version, module: exports.default });
      return ok(exports.default);
    } catch (error) {
      return err(`${modulePath}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** The filter type under which modules stand in a chain. */
  get type(): HttpFilterType<ModuleConfig> {
    return {
      name: "heddle.filters.http.module",
      configType: MODULE_CONFIG_TYPE,
      routeConfigType: MODULE_CONFIG_TYPE,
      parse: (config) => this.#parse(config, (module, own) => module.parse(own)),
      parseRoute: (config) => this.#parseRoute(config),
      create: ({ modulePath, config }, context) => {
        const module = this.#get(modulePath);
        if (module === undefined) throw new Error(`${modulePath} has not been loaded`);
        const parsed = module.parse(config);
        if (!parsed.ok) throw new Error(`${modulePath}: its configuration was not validated`);
        return module.create(parsed.value, context);
      },
    };
  }

  #get(modulePath: string): FilterModule | undefined {
    return this.#loaded.get(resolve(this.#baseFolder, modulePath))?.module;
  }

  /**
   * Reading configuration is synchronous, hence `require`, which takes ES modules without top-level await. It keeps the
   * first version of a file; a later one is judged by the workers, which load it anew.
   */
  #getOrLoad(modulePath: string): Result<FilterModule | undefined, string> {
    const known = this.#get(modulePath);
    if (known !== undefined || !this.#loadOnParse) return ok(known);
    try {
      const exports = createRequire(import.meta.url)(resolve(this.#baseFolder, modulePath)) as {
        readonly default?: unknown;
      };
      return isFilterModule(exports.default) ? ok(exports.default) : err(NO_FILTER);
    } catch (error) {
      return err(`cannot be loaded: ${error instanceof Error ? error.message.split("\n", 1)[0] : String(error)}`);
    }
  }

  #parse(
    config: Json,
    parseOwn: (module: FilterModule, own: Json) => Result<unknown, readonly ConfigIssue[]>,
  ): Result<ModuleConfig, readonly ConfigIssue[]> {
    const read = readModuleConfig(config);
    if (!read.ok) return read;
    const loaded = this.#getOrLoad(read.value.modulePath);
    if (!loaded.ok) return err([{ path: "modulePath", message: loaded.error }]);
    // Where modules are not loaded (the control plane), only the frame can be checked.
    const module = loaded.value;
    const own = module === undefined ? ok(undefined) : parseOwn(module, read.value.config);
    return own.ok ? read : err(own.error.map(({ path, message }) => ({ path: below("config", path), message })));
  }

  /** Gives what the module's own `parseRoute` gives. */
  #parseRoute(config: Json): Result<unknown, readonly ConfigIssue[]> {
    const read = readModuleConfig(config);
    if (!read.ok) return read;
    const { modulePath, config: own } = read.value;
    const parsed = this.#get(modulePath)?.parseRoute?.(own) ?? ok(own);
    return parsed.ok
      ? parsed
      : err(parsed.error.map(({ path, message }) => ({ path: below("config", path), message })));
  }
}

const NO_FILTER = "the default export is no filter; write `export default defineFilter({ … })`";

function readModuleConfig(config: Json): Result<ModuleConfig, readonly ConfigIssue[]> {
  const fields = typeof config === "object" && config !== null && !Array.isArray(config) ? config : {};
  const { modulePath, config: own = {} } = fields as { readonly modulePath?: Json; readonly config?: Json };
  if (typeof modulePath === "string" && modulePath !== "") return ok({ modulePath, config: own });
  const found = modulePath === undefined ? "nothing" : JSON.stringify(modulePath);
  return err([{ path: "modulePath", message: `found ${found}, needed is the path of a module` }]);
}

function modulePathOf({ type, config }: TypedConfig): string[] {
  const read = type === MODULE_CONFIG_TYPE ? readModuleConfig(config) : undefined;
  return read?.ok === true ? [read.value.modulePath] : [];
}

function isFilterModule(value: unknown): value is FilterModule {
  if (typeof value !== "object" || value === null) return false;
  const { parse, create } = value as { readonly parse?: unknown; readonly create?: unknown };
  return typeof parse === "function" && typeof create === "function";
}

function below(parent: string, path: string): string {
  if (path === "") return parent;
  return path.startsWith("[") ? `${parent}${path}` : `${parent}.${path}`;
}
