import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { formatHostPort } from "../serve/address.ts";
import type { EtcdSecurity } from "./etcd/etcd-security.ts";
import { DiskFolder } from "./log/disk-folder.ts";
import { holdsSomething } from "./log/recover.ts";
import { LogStore } from "./log-store.ts";
import type { Store } from "./store.ts";
import { StoreError } from "./store-error.ts";
import { defaultStoreDirectory, type StorePlace } from "./store-place.ts";

export interface OpenStoreOptions {
  readonly place: StorePlace;
  /** Folders of configuration files. */
  readonly folders: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where what was stored is damaged, go on with what came before the damage. */
  readonly acceptDataLoss: boolean;
  readonly etcd: EtcdSecurity;
  readonly clock: Clock;
  readonly log: Log;
}

/** A store that has been started, or undefined where nothing is to be stored. Rejects with a `StoreError`. */
export async function openStore(options: OpenStoreOptions): Promise<Store | undefined> {
  const { place, folders, environment } = options;
  switch (place.type) {
    case "none":
      return undefined;
    case "log":
      return startLog(place.directory, options);
    case "etcd":
      return startEtcd(place, options);
    case "default":
      return openDefault(defaultStoreDirectory(environment, folders[0]), options);
  }
}

async function startLog(directory: string, { log, acceptDataLoss }: OpenStoreOptions): Promise<Store> {
  const store = new LogStore({ folder: new DiskFolder(directory), log, acceptDataLoss });
  await store.start();
  return store;
}

/** Loaded where it is asked for: a control plane without etcd has no need of its messages. */
async function startEtcd(
  { endpoints, prefix }: Extract<StorePlace, { type: "etcd" }>,
  { etcd, clock, log }: OpenStoreOptions,
): Promise<Store> {
  const { EtcdStore } = await import("./etcd-store.ts");
  const store = new EtcdStore({ endpoints: endpoints.map(formatHostPort), prefix, security: etcd, clock, log });
  await store.start();
  return store;
}

/**
 * Nobody has asked for this place. So where it cannot be had, the control plane serves its files and stores nothing; unless
 * something is stored there, which would then silently be missing.
 */
async function openDefault(directory: string | undefined, options: OpenStoreOptions): Promise<Store | undefined> {
  const without = (why: string): undefined => {
    options.log.warn("nothing can be stored by the resource API; --store DIR names a place for it", { why });
    return undefined;
  };
  if (directory === undefined) return without("none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set");
  try {
    return await startLog(directory, options);
  } catch (error) {
    if (!(error instanceof StoreError) || error.fault === "damaged") throw error;
    if (await holdsSomethingIn(directory)) throw error;
    return without(error.message);
  }
}

async function holdsSomethingIn(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names)
    if (holdsSomething(name, (await stat(join(directory, name)).catch(() => undefined))?.size ?? 0)) return true;
  return false;
}
