import { err, ok, type Result } from "@heddle/base";

/** The plugin's name in a network configuration, and of its file. */
export const CNI_PLUGIN = "heddle-cni";

/** The entry of ours in a list of plugins. */
export interface PluginEntry {
  readonly kubeconfig: string;
  readonly backend: string;
  readonly excludeNamespaces: readonly string[];
}

/**
 * A network configuration with our plugin as the last of its chain, with these very settings; everything else as it was. A configuration of a
 * single plugin (`.conf`) becomes a list of two. The error says why the text is no configuration: it is then left alone.
 */
export function withPlugin(
  text: string,
  { kubeconfig, backend, excludeNamespaces }: PluginEntry,
): Result<string, string> {
  const parsed = parse(text);
  if (!parsed.ok) return parsed;
  const { list, others } = parsed.value;
  const entry = {
    type: CNI_PLUGIN,
    kubeconfig,
    backend,
    excludeNamespaces,
    capabilities: { dns: true }, // the runtime then says which servers the pod's resolv.conf will name
  };
  return ok(write({ ...list, plugins: [...others, entry] }));
}

/** The same without it. */
export function withoutPlugin(text: string): Result<string, string> {
  const parsed = parse(text);
  if (!parsed.ok) return parsed;
  return ok(write({ ...parsed.value.list, plugins: parsed.value.others }));
}

export function hasPlugin(text: string): boolean {
  const parsed = parse(text);
  return parsed.ok && parsed.value.isOursThere;
}

/**
 * Which file of the folder a container runtime takes: the first by name with one of these endings. `.conf` of a single plugin counts too: it is
 * to become a list.
 */
export function primaryConfig(names: readonly string[]): string | undefined {
  return names.filter((name) => /\.(conflist|conf|json)$/.test(name)).toSorted()[0];
}

interface Parsed {
  readonly list: Readonly<Record<string, unknown>>;
  readonly others: readonly Readonly<Record<string, unknown>>[];
  readonly isOursThere: boolean;
}

function parse(text: string): Result<Parsed, string> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return err(`is not JSON: ${(error as Error).message}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return err("is not an object of JSON");
  const config = json as Readonly<Record<string, unknown>>;
  const plugins = config["plugins"] ?? (typeof config["type"] === "string" ? [single(config)] : undefined);
  const isList =
    Array.isArray(plugins) &&
    plugins.every((plugin) => typeof (plugin as { type?: unknown } | null)?.type === "string");
  if (!isList || plugins.length === 0) return err('has no "plugins" with a "type" each');
  const list = config["plugins"] === undefined ? { cniVersion: config["cniVersion"], name: config["name"] } : config;
  const others = (plugins as Readonly<Record<string, unknown>>[]).filter(({ type }) => type !== CNI_PLUGIN);
  if (others.length === 0) return err("has no plugin but ours");
  return ok({ list, others, isOursThere: others.length < plugins.length });
}

/** A configuration of one plugin, as an entry of a list: version and name are the list's. */
function single(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name !== "cniVersion" && name !== "name"));
}

function write(json: unknown): string {
  return `${JSON.stringify(json, null, 2)}\n`;
}
