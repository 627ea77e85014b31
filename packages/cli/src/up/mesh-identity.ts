import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@heddle/base";
import { type JoinTokenEntry, newJoinToken } from "../tokens/join-token.ts";

/** Of every mesh on a laptop. */
const TRUST_DOMAIN = "cluster.local";

/** A sidecar joins within seconds of its start, or when its control plane has come up. */
const TOKEN_TTL_SECONDS = 3600;

const ASK_EVERY_MS = 50;

/**
 * What the identities of a mesh on this machine need: a folder of this user's alone with the join tokens' hashes, which the control
 * plane follows, and the authority's certificate, by which the sidecars know the control plane. Tokens themselves are in
 * nobody's file or command line.
 */
export class MeshIdentity {
  readonly #folder = mkdtempSync(join(tmpdir(), "heddle-up-identity-"));
  readonly #clock: Clock;
  #entries: readonly JoinTokenEntry[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#writeTokens();
  }

  /** Further flags of the control plane. */
  controlPlaneFlags(tlsPort: number): readonly string[] {
    const address = `127.0.0.1:${tlsPort}`;
    return ["--trust-domain", TRUST_DOMAIN, "--xds-tls-address", address, "--join-tokens", this.#tokensFile];
  }

  /** Further flags of each sidecar. */
  get sidecarFlags(): readonly string[] {
    return ["--ca-bundle", this.#bundleFile];
  }

  /** What one start of a sidecar has in its environment besides: a token is good for one. */
  sidecarEnvironment(namespace: string, account: string): Readonly<Record<string, string>> {
    const made = newJoinToken(
      { trustDomain: TRUST_DOMAIN, namespace, account, ttlSeconds: TOKEN_TTL_SECONDS },
      this.#clock,
    );
    if (!made.ok) throw new Error(`${namespace}/${account}: ${made.error}`);
    // Those that have ended go: the file holds so many, and a sidecar may crash all day.
    const now = this.#clock.wallNow();
    this.#entries = [...this.#entries.filter(({ expires }) => Date.parse(expires) > now), made.value.entry];
    this.#writeTokens();
    return { HEDDLE_JOIN_TOKEN: made.value.token };
  }

  /** Resolves once the control plane has told its authority's certificate and that lies in the file; false: it was told to stop. */
  async fetchBundle(adminUrl: string, stopped: () => boolean): Promise<boolean> {
    while (!stopped()) {
      const pem = await textOf(`${adminUrl}/ca/bundle?format=pem`);
      if (pem?.includes("BEGIN CERTIFICATE") === true) {
        writeFileSync(this.#bundleFile, pem, { mode: 0o600 });
        return true;
      }
      await new Promise<void>((resolve) => this.#clock.after(ASK_EVERY_MS, resolve));
    }
    return false;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #tokensFile(): string {
    return join(this.#folder, "join-tokens.yaml");
  }

  get #bundleFile(): string {
    return join(this.#folder, "ca.pem");
  }

  /** Whole or not at all: it is being read. */
  #writeTokens(): void {
    writeFileSync(`${this.#tokensFile}.new`, JSON.stringify(this.#entries, undefined, 2), { mode: 0o600 });
    renameSync(`${this.#tokensFile}.new`, this.#tokensFile);
  }
}

async function textOf(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url);
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined; // it is not up yet
  }
}
