import type { ResourceFeed } from "./resource-sources.ts";

/** In place of a source that cannot be asked, as the log has said: whoever waits for it waits as long as the source says. */
export function brokenFeed(reason: string): ResourceFeed {
  return {
    name: "broken",
    subscribe: () => undefined,
    statuses: () => [],
    inspect: () => ({ error: reason }),
    close: () => undefined,
  };
}
