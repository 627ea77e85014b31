import type { Clock, Timer } from "@heddle/base";
import type { AssembledResource } from "@heddle/config";
import type { Log } from "@heddle/telemetry";
import { type DataConfig, originKey, type ResourceOrigin, type SecretConfig, validationDataOf } from "@heddle/traffic";
import type { ResourceType, ResourceUpdate } from "@heddle/xds";
import { fingerprint } from "./resource-file.ts";

export interface SecretFilesOptions {
  readonly type: ResourceType<SecretConfig>;
  readonly clock: Clock;
  readonly log: Log;
  /** The same secrets with what their files hold now. */
  readonly onUpdate: (update: ResourceUpdate) => void;
  /** The files of that secret have changed, and cannot be used; what they held before serves. */
  readonly onFailed: (name: string) => void;
}

/** As often as files of resources are looked at. */
const LOOK_EVERY_MS = 500;

/**
 * Follows the files that secrets by SDS name (`filename`), as Envoy does for these alone: when one has changed, or its
 * `watched_directory` where it names one, the secret is read anew. A key that is not the certificate's, as between two files
 * that are replaced one after the other, changes nothing; the next change is read again.
 */
export class SecretFiles {
  readonly #options: SecretFilesOptions;
  #followed: ReadonlyMap<string, Followed> = new Map();
  #timer: Timer | undefined;

  constructor(options: SecretFilesOptions) {
    this.#options = options;
  }

  /** Replaces what is followed: the secrets that are in force, of which those count that SDS has brought. */
  follow(resources: readonly AssembledResource[]): void {
    const followed = new Map<string, Followed>();
    for (const { kind, source, name, origin, active } of resources) {
      if (kind !== "secret" || source !== "dynamic" || active === undefined) continue;
      const config = active.config as SecretConfig; // by its kind
      const paths = watchedPaths(config);
      if (paths.length === 0) continue;
      const key = `${originKey(origin)} ${name}`;
      const known = this.#followed.get(key);
      const seen = known?.paths.join("\n") === paths.join("\n") ? known.seen : paths.map(fingerprint).join("\n");
      followed.set(key, { name, origin, config, version: active.version, paths, seen });
    }
    this.#followed = followed;
    if (followed.size === 0) this.close();
    else this.#timer ??= this.#options.clock.after(LOOK_EVERY_MS, () => this.#look(), true);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => this.#look(), true);
    for (const followed of Array.from(this.#followed.values())) {
      const seen = followed.paths.map(fingerprint).join("\n");
      if (seen === followed.seen) continue;
      followed.seen = seen;
      this.#readAgain(followed);
    }
  }

  #readAgain({ name, origin, version, config }: Followed): void {
    const { type, log, onUpdate, onFailed } = this.#options;
    // What is written of a secret are the names of its files, so reading that reads them.
    const read = type.decode(type.encode(config));
    if (!read.ok) {
      log.error("the files of a secret cannot be used; what they held before serves", { name, errors: read.error });
      onFailed(name);
      return;
    }
    log.info("the files of a secret were read again", { name });
    const changed = new Map([[name, { name, version, ...read.value }]]);
    onUpdate({ kind: "secret", ...(origin && { origin }), changed, removed: [], absent: [] });
  }
}

interface Followed {
  readonly name: string;
  readonly origin: ResourceOrigin | undefined;
  readonly config: SecretConfig;
  readonly version: string;
  readonly paths: readonly string[];
  /** Of the paths, when they were last looked at. */
  seen: string;
}

/** The folder that tells of changes, else the files. Empty: the secret holds everything itself. */
function watchedPaths(config: SecretConfig): readonly string[] {
  const files = dataOf(config).flatMap((data) => (data?.source === "filename" ? [data.name] : []));
  if (files.length === 0) return [];
  const folder = folderOf(config);
  return folder === undefined ? files : [folder];
}

function folderOf(config: SecretConfig): string | undefined {
  if (config.type === "certificate") return config.certificate.watchedDirectory;
  return config.type === "validation" ? config.validation.watchedDirectory : undefined;
}

function dataOf(config: SecretConfig): readonly (DataConfig | undefined)[] {
  switch (config.type) {
    case "certificate": {
      const { certificateChain, privateKey, password, ocspStaple } = config.certificate;
      return [certificateChain, privateKey, password, ocspStaple];
    }
    case "validation":
      return validationDataOf(config.validation);
    case "ticket-keys":
      return config.keys;
    case "generic":
      return [config.secret];
    default:
      throw new Error(`unknown secret ${(config satisfies never as { type: string }).type}`);
  }
}
