import type { HttpFilterType } from "@heddle/filter";

/**
 * A kind of filter whose configuration can be read at once, and whose code is loaded by the workers when a configuration first
 * names it: what nobody uses costs a sidecar neither memory nor time at its start.
 */
export function lazyFilter<Config, RouteConfig>(
  frame: Omit<HttpFilterType<Config, RouteConfig>, "create" | "load">,
  load: () => Promise<Pick<HttpFilterType<Config, RouteConfig>, "create">>,
): HttpFilterType<Config, RouteConfig> {
  let loaded: Pick<HttpFilterType<Config, RouteConfig>, "create"> | undefined;
  return {
    ...frame,
    load: async () => {
      loaded ??= await load();
    },
    create: (config, context) => {
      if (loaded === undefined) throw new Error(`${frame.name} has not been loaded`);
      return loaded.create(config, context);
    },
  };
}
