import type { Live } from "@heddle/base";
import type { SecretConfig } from "@heddle/traffic";
import type { DecodedUpdate } from "../worker/config-receiver.ts";

/** The secrets of a worker, by the key of their references. Each change is another map. */
export type LiveSecrets = Live<ReadonlyMap<string, SecretConfig>>;

export const NO_SECRETS: ReadonlyMap<string, SecretConfig> = new Map();

/** Puts the secrets of a step in force: before whatever the step builds with them. */
export function applySecrets(secrets: LiveSecrets, { changed, removed, kinds }: DecodedUpdate): void {
  if (!kinds.has("secret")) return;
  const came = changed.filter((entry) => entry.kind === "secret");
  const gone = removed.filter(({ kind }) => kind === "secret");
  const next = new Map(secrets.current);
  for (const { name } of gone) next.delete(name);
  for (const { name, value } of came) next.set(name, value);
  secrets.publish(next);
}
