import {
  type DownstreamTlsConfig,
  type SecretConfig,
  secretKey,
  secretsOf,
  type UpstreamTlsConfig,
  withSecrets,
} from "@heddle/traffic";
import type { LiveSecrets } from "./live-secrets.ts";

/**
 * One end of TLS, made of a context and of the secrets that it names. A handshake asks for it when it begins and keeps it to
 * its end; where a secret has changed since the last one asked, it is made anew. So a rotation touches handshakes to come and
 * nothing else: no connection, no pool, no filter chain. What belongs to the old end (keys of tickets, sessions to be resumed)
 * goes with it.
 *
 * A secret by SDS that is gone, and one that this context cannot use, leave the last end in place. Before the first there is
 * none, and nobody connects; nor without a secret of the process's own, which is taken away when its certificate has expired.
 */
export class LiveTls<Config extends DownstreamTlsConfig | UpstreamTlsConfig, End> {
  readonly #config: Config;
  readonly #make: (config: Config) => End;
  readonly #onProblem: (problem: string) => void;
  readonly #secrets: LiveSecrets;
  readonly #keys: readonly string[];
  /** What the last look saw, and those of the secrets that are of this context. */
  #seen: ReadonlyMap<string, SecretConfig> | undefined = undefined;
  #used: readonly (SecretConfig | undefined)[] = [];
  #end: End | undefined = undefined;

  /**
   * `make` throws where OpenSSL does not take the context. Without secrets that is thrown here, else told to `onProblem` once
   * for each version of the secrets.
   */
  constructor(
    config: Config,
    secrets: LiveSecrets,
    make: (config: Config) => End,
    onProblem: (problem: string) => void,
  ) {
    this.#config = config;
    this.#secrets = secrets;
    this.#make = make;
    this.#onProblem = onProblem;
    this.#keys = secretsOf(config).map(secretKey);
    if (this.#keys.length === 0) this.#end = make(config);
  }

  /** Undefined: a secret is missing. */
  get current(): End | undefined {
    if (this.#keys.length > 0 && this.#secrets.current !== this.#seen) this.#look(this.#secrets.current);
    return this.#end;
  }

  #look(secrets: ReadonlyMap<string, SecretConfig>): void {
    this.#seen = secrets;
    const used = this.#keys.map((key) => secrets.get(key));
    if (this.#keys.some((key) => key.startsWith("static/") && !secrets.has(key))) {
      this.#end = undefined;
      this.#used = [];
    }
    if (used.includes(undefined) || used.every((secret, index) => secret === this.#used[index])) return;
    this.#used = used;
    try {
      const config = withSecrets(this.#config, (key) => secrets.get(key));
      if (config !== undefined) this.#end = this.#make(config);
    } catch (error) {
      this.#onProblem(problemOf(error));
    }
  }
}

/** OpenSSL's word alone: the rest of its message may show what was given. What has neither is ours. */
function problemOf(error: unknown): string {
  const { reason, code, message } = error as Error & { readonly reason?: string; readonly code?: string };
  return reason ?? code ?? message;
}
