import { err, type Json, ok, type Result } from "@heddle/base";
import { formatSpiffeId } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import { fault, unavailable } from "../api/api-errors.ts";
import { authorName } from "../api/audit.ts";
import type { CaAdministration, JoinTokenAnswer, JoinTokenRequest } from "../api/ca-routes.ts";
import type { ApiError } from "../api/wire.ts";
import { DEFAULT_JOIN_TOKEN_TTL_S, type JoinTokens, MAX_JOIN_TOKEN_TTL_S } from "./join-tokens.ts";
import type { StoredAuthority } from "./stored-authority.ts";
import { workloadId } from "./workload-id.ts";

export interface AdministrationOptions {
  readonly trustDomain: string;
  readonly joinTokens: JoinTokens;
  /** Undefined: the root is an operator's. */
  readonly stored: StoredAuthority | undefined;
  readonly inspect: () => Json;
  readonly log: Log;
}

/** What administrators may do with the authority; who they are is for the caller to know. Each deed is a line of the log. */
export class Administration implements CaAdministration {
  readonly #options: AdministrationOptions;

  constructor(options: AdministrationOptions) {
    this.#options = options;
  }

  inspect(): Json {
    return this.#options.inspect();
  }

  async createJoinToken(
    { namespace, account, ttlSeconds = DEFAULT_JOIN_TOKEN_TTL_S }: JoinTokenRequest,
    by: string,
  ): Promise<Result<JoinTokenAnswer, ApiError>> {
    const { trustDomain, joinTokens, log } = this.#options;
    const id = workloadId(trustDomain, namespace, account);
    if (!id.ok) return err(fault("INVALID_ARGUMENT", id.error));
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > MAX_JOIN_TOKEN_TTL_S)
      return err(fault("INVALID_ARGUMENT", `ttlSeconds: found ${ttlSeconds}, allowed: 1 to ${MAX_JOIN_TOKEN_TTL_S}`));
    const made = await joinTokens.create(id.value, ttlSeconds, by);
    if (!made.ok) return err(unavailable(made.error));
    const { token, expiresAtMs } = made.value;
    const [identity, expires] = [formatSpiffeId(id.value), new Date(expiresAtMs).toISOString()];
    log.info("join token made", { identity, by: authorName(by), expires });
    return ok({ token, spiffeId: identity, expires });
  }

  async rotate(step: "begin" | "next", by: string): Promise<Result<Json, ApiError>> {
    const { stored, log } = this.#options;
    if (stored === undefined)
      return err(fault("INVALID_ARGUMENT", "the root is that of --ca-certificate: it is replaced where it was made"));
    log.info("root rotation is asked for", { step, by: authorName(by) });
    const stepped = await (step === "begin" ? stored.beginRotation() : stored.hurryRotation());
    return stepped.ok ? ok(stored.status()) : err(fault("ABORTED", stepped.error));
  }
}
