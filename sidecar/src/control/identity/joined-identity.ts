import { hash } from "node:crypto";
import type { ChannelCredentials } from "@grpc/grpc-js";
import type { Clock, Json } from "@heddle/base";
import type { SecretConfig } from "@heddle/traffic";
import type { ResourceType } from "@heddle/xds";
import { DialTooEarly, type XdsChannel } from "@heddle/xds/client";
import { sameBundles } from "./authority-identity.ts";
import { type ControlPlaneTrust, controlPlaneCredentials } from "./control-plane-credentials.ts";
import {
  type Identity,
  type IdentityListener,
  type IdentitySource,
  type IdentityState,
  NO_IDENTITY,
  type OwnIdentity,
} from "./own-identity.ts";
import { certificatePem, certificateSecret, validationSecret } from "./own-secrets.ts";

export interface JoinedIdentityOptions {
  readonly source: IdentitySource;
  /** Whom the control plane may be attested by now. Throws where nobody knows. */
  readonly trust: () => ControlPlaneTrust;
  readonly secretType: ResourceType<SecretConfig>;
  readonly clock: Clock;
  readonly onConnected?: (channel: XdsChannel) => void;
  readonly onClose?: () => void;
}

/** Makes secrets and credentials of whatever a source of identities brings. */
export class JoinedIdentity implements OwnIdentity {
  readonly name = "identity";
  readonly #options: JoinedIdentityOptions;
  readonly #secrets = new Map<string, SecretConfig>();
  #listener: IdentityListener | undefined;
  #told: Identity = NO_IDENTITY;
  #unwatch: (() => void) | undefined;

  constructor(options: JoinedIdentityOptions) {
    this.#options = options;
  }

  get current(): Identity {
    return this.#options.source.live.current;
  }

  get state(): IdentityState {
    return this.#options.source.state;
  }

  security(): ChannelCredentials {
    const { svid } = this.current;
    const { trust, clock } = this.#options;
    if (svid === undefined && this.state.state === "none")
      throw new DialTooEarly("there is no certificate to show to the control plane yet");
    if (svid === undefined || svid.validToMs <= clock.wallNow())
      throw new Error("there is no certificate to show to the control plane");
    return controlPlaneCredentials(trust(), svid, () => clock.wallNow());
  }

  secret(name: string): SecretConfig | undefined {
    return this.#secrets.get(name);
  }

  connected(channel: XdsChannel): void {
    this.#options.onConnected?.(channel);
  }

  start(listener: IdentityListener): void {
    const { source } = this.#options;
    this.#listener = listener;
    this.#unwatch = source.live.watch((next) => this.#tell(next));
    this.#tell(source.live.current);
    source.start();
  }

  close(): void {
    const { source, onClose } = this.#options;
    this.#unwatch?.();
    source.close();
    onClose?.();
  }

  /** Nothing secret. */
  inspect(): Json {
    const { svid, bundles } = this.current;
    return {
      id: svid?.id ?? null,
      expires: svid === undefined ? null : new Date(svid.validToMs).toISOString(),
      ...this.state,
      bundles: bundles.map(({ trustDomain, x509Authorities, sequenceNumber }) => {
        return { trustDomain, authorities: x509Authorities.length, sequenceNumber };
      }),
    };
  }

  #tell(next: Identity): void {
    const before = this.#told;
    this.#told = next;
    const { secretType } = this.#options;
    // Whom to believe comes first: a certificate of a new root is believed by those who know the root.
    if (next.bundles.length > 0 && !sameBundles(next.bundles, before.bundles)) {
      const parts = next.bundles.flatMap(({ trustDomain, x509Authorities }) => [trustDomain, ...x509Authorities]);
      this.#put(validationSecret(next.bundles, secretType), parts);
    }
    if (next.svid === before.svid) return;
    if (next.svid === undefined) this.#withdraw("default");
    else {
      this.#put(certificateSecret(next.svid, secretType), [certificatePem(next.svid.chain)]);
      this.#listener?.onRenewed();
    }
  }

  #put(secret: SecretConfig, versionOf: readonly (string | Uint8Array)[]): void {
    this.#secrets.set(secret.name, secret);
    const parts = versionOf.map((part) => Buffer.from(part));
    this.#listener?.onSecret(secret, hash("sha256", Buffer.concat(parts), "hex").slice(0, VERSION_DIGITS));
  }

  #withdraw(name: string): void {
    this.#secrets.delete(name);
    this.#listener?.onWithdrawn(name);
  }
}

const VERSION_DIGITS = 16;
