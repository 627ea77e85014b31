import type { VerificationKey } from "../filter/jwt/read-jwks.ts";
import {
  type JwksNews,
  type RemoteJwks,
  type RemoteKeys,
  type RemoteKeysSubscription,
  remoteJwksKey,
} from "../filter/jwt/remote-jwks.ts";

/** What a worker asks the control thread. */
export type JwksQuestion =
  | { readonly ask: "want"; readonly source: RemoteJwks }
  /** Nobody in that worker wants it any more; `key` is of `remoteJwksKey`. */
  | { readonly ask: "unwant"; readonly key: string }
  | { readonly ask: "refresh"; readonly key: string };

interface Held {
  readonly subscribers: Set<(news: JwksNews) => void>;
  /** The last that have come. */
  keys: readonly VerificationKey[] | undefined;
  /** News are on their way: who asks meanwhile has asked for these. So strange tokens cost one message at a time, however many come. */
  asked: boolean;
}

/** The sets of keys that one worker has from the control thread, each asked for once. */
export class WorkerRemoteKeys implements RemoteKeys {
  readonly #tell: (question: JwksQuestion) => void;
  readonly #held = new Map<string, Held>();

  constructor(tell: (question: JwksQuestion) => void) {
    this.#tell = tell;
  }

  subscribe(source: RemoteJwks, onNews: (news: JwksNews) => void): RemoteKeysSubscription {
    const key = remoteJwksKey(source);
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { subscribers: new Set(), keys: undefined, asked: true };
      this.#held.set(key, held);
      this.#tell({ ask: "want", source });
    }
    const own = held;
    const { subscribers, keys } = own;
    const entry = (news: JwksNews): void => onNews(news);
    subscribers.add(entry);
    // Before any request comes: the new configuration has not been left yet.
    if (keys !== undefined)
      queueMicrotask(() => subscribers.has(entry) && entry({ key, keys, outcome: "told", counts: false }));
    return {
      refresh: () => {
        if (own.asked) return;
        own.asked = true;
        this.#tell({ ask: "refresh", key });
      },
      close: () => {
        if (!subscribers.delete(entry) || subscribers.size > 0) return;
        this.#held.delete(key);
        this.#tell({ ask: "unwant", key });
      },
    };
  }

  /** From the control thread. */
  heard(news: JwksNews): void {
    const held = this.#held.get(news.key);
    if (held === undefined) return;
    held.asked = false;
    if (news.keys !== undefined) held.keys = news.keys;
    for (const subscriber of Array.from(held.subscribers)) subscriber(news);
  }
}
