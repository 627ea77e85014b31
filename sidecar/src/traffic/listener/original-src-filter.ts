import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import type { SocketFilter } from "./listener-filter.ts";

/**
 * `envoy.filters.listener.original_src`: what is sent on for the connection comes from its client's address. Answers have to
 * be brought back here by rules of the kernel, for which connections carry the mark.
 */
export class OriginalSrcFilter implements SocketFilter {
  readonly #mark: number;

  constructor(mark: number) {
    this.#mark = mark;
  }

  look(_connection: Connection, info: DownstreamInfo): DownstreamInfo {
    if (info.remoteAddress === "") return info; // a Unix socket's client is nowhere
    return { ...info, originalSource: { address: info.remoteAddress, mark: this.#mark } };
  }
}
