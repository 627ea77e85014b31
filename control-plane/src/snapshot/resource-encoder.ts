import { createHash } from "node:crypto";
import { dialledListenerManager, OUTBOUND_ROUTES } from "@heddle/mesh";
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
  /** By type, name and version: nodes may hold resources of one name and different content. */
  readonly #made = new Map<string, WeakRef<EncodedResource>>();

  constructor(types: ResourceTypes) {
    this.types = types;
  }

  encode<Config>(type: ResourceType<Config>, config: Config): EncodedResource {
    return this.fromBytes(type.typeUrl, type.nameOf(config), type.encode(config), type.references(config));
  }

  /** A listener for a client that dials this name by itself. */
  dialledListener(name: string): EncodedResource {
    const bytes = encodeApiListener(name, dialledListenerManager());
    return this.fromBytes(this.types.listener.typeUrl, name, bytes, [
      { kind: "route-configuration", name: OUTBOUND_ROUTES },
    ]);
  }

  fromBytes(typeUrl: string, name: string, bytes: Uint8Array, references?: readonly Reference[]): EncodedResource {
    const version = versionOf(bytes);
    const key = `${typeUrl} ${name} ${version}`;
    const known = this.#made.get(key)?.deref();
    if (known !== undefined) return known;
    const made: EncodedResource =
      references === undefined ? { name, version, bytes } : { name, version, bytes, references };
    this.#made.set(key, new WeakRef(made));
    return made;
  }

  /** Lets go of the names of resources that nobody uses any more. */
  sweep(): void {
    for (const [key, made] of this.#made) if (made.deref() === undefined) this.#made.delete(key);
  }
}

/** 96 bits of SHA-256: replicas that hold the same content say the same version, without talking. */
function versionOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url").slice(0, 16);
}
