import { createHash } from "node:crypto";
import { dialledListenerManager, OUTBOUND_ROUTES, outboundRouteConfiguration, type ScopeRules } from "@heddle/mesh";
import {
  type EncodedResource,
  encodeApiListener,
  type Reference,
  type ResourceType,
  type ResourceTypes,
} from "@heddle/xds";

/** Makes resources of configurations. Equal content is the same object as long as it is in use, whoever asks for it. */
export class ResourceEncoder {
  readonly types: ResourceTypes;
  readonly #emptyRoutes: Uint8Array;
  readonly #emptyRoutesOnDemand: Uint8Array;
  /** By type, name and version: nodes may hold resources of one name and different content. */
  readonly #made = new Map<string, WeakRef<EncodedResource>>();

  /** What was made of which configuration. */
  readonly #ofConfig = new Map<string, WeakRef<EncodedResource>>();
  /** Entries after the last sweep. */
  #swept = 0;

  constructor(types: ResourceTypes) {
    this.types = types;
    this.#emptyRoutes = types["route-configuration"].encode(outboundRouteConfiguration([], false));
    this.#emptyRoutesOnDemand = types["route-configuration"].encode(outboundRouteConfiguration([], true));
  }

  /** The outbound route configuration without virtual hosts. */
  emptyRoutes({ onDemand }: ScopeRules): Uint8Array {
    return onDemand ? this.#emptyRoutesOnDemand : this.#emptyRoutes;
  }

  encode<Config>(type: ResourceType<Config>, config: Config): EncodedResource {
    return this.fromBytes(type.typeUrl, type.nameOf(config), type.encode(config), type.references(config));
  }

  /** The same for what many nodes have alike and each asks for by itself: to compare costs a tenth of encoding. */
  encodeOnce<Config>(type: ResourceType<Config>, config: Config): EncodedResource {
    const key = `${type.typeUrl} ${createHash("sha256").update(JSON.stringify(config)).digest("base64url")}`;
    const known = this.#ofConfig.get(key)?.deref();
    if (known !== undefined) return known;
    const made = this.encode(type, config);
    this.#ofConfig.set(key, new WeakRef(made));
    return made;
  }

  /** A listener for a client that dials this name by itself. */
  dialledListener(name: string): EncodedResource {
    const bytes = encodeApiListener(name, dialledListenerManager());
    return this.fromBytes(this.types.listener.typeUrl, name, bytes, [
      { kind: "route-configuration", name: OUTBOUND_ROUTES },
    ]);
  }

  fromBytes(
    typeUrl: string,
    name: string,
    bytes: Uint8Array,
    references?: readonly Reference[],
    wrapping: Pick<EncodedResource, "aliases" | "ttlMs"> = NO_WRAPPING,
  ): EncodedResource {
    const version = versionOf(bytes, wrapping);
    const key = `${typeUrl} ${name} ${version}`;
    const known = this.#made.get(key)?.deref();
    if (known !== undefined) return known;
    const bare = references === undefined ? { name, version, bytes } : { name, version, bytes, references };
    const made: EncodedResource = wrapping === NO_WRAPPING ? bare : { ...bare, ...wrapping };
    this.#made.set(key, new WeakRef(made));
    return made;
  }

  /** Lets go of what nobody uses any more, now and then: when there is twice as much as the last time. */
  sweep(): void {
    if (this.#made.size + this.#ofConfig.size < 2 * this.#swept + 1000) return;
    for (const [key, made] of this.#made) if (made.deref() === undefined) this.#made.delete(key);
    for (const [key, made] of this.#ofConfig) if (made.deref() === undefined) this.#ofConfig.delete(key);
    this.#swept = this.#made.size + this.#ofConfig.size;
  }
}

/** 96 bits of SHA-256: replicas that hold the same content say the same version, without talking. */
function versionOf(bytes: Uint8Array, wrapping: Pick<EncodedResource, "aliases" | "ttlMs">): string {
  const hash = createHash("sha256").update(bytes);
  if (wrapping !== NO_WRAPPING) hash.update(JSON.stringify([wrapping.aliases, wrapping.ttlMs]));
  return hash.digest("base64url").slice(0, 16);
}

const NO_WRAPPING = {};
