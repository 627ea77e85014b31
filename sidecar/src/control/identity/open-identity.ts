import { type Clock, err, ok, type Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { SecretConfig } from "@heddle/traffic";
import type { ResourceType } from "@heddle/xds";
import { type XdsChannel, xdsDial } from "@heddle/xds/client";
import type { IdentitySettings } from "../../identity-settings.ts";
import { issueCertificate } from "./authority-client.ts";
import { AuthorityIdentity } from "./authority-identity.ts";
import { MAX_AUTHORITY_MESSAGE_BYTES } from "./authority-wire.ts";
import { BundleFollower } from "./bundle-follower.ts";
import { readCallerToken } from "./caller-token.ts";
import { type ControlPlaneTrust, controlPlaneCredentials } from "./control-plane-credentials.ts";
import { joinTrust, readTrustFile } from "./control-plane-trust.ts";
import { IdentityFile, type KeptIdentity } from "./identity-file.ts";
import { JoinedIdentity, type JoinedIdentityOptions } from "./joined-identity.ts";
import type { Identity, OwnIdentity, OwnSvid } from "./own-identity.ts";
import { tlsNameOf } from "./tls-name.ts";
import { WorkloadIdentity } from "./workload/workload-identity.ts";
import { WorkloadServer } from "./workload/workload-server.ts";
import { MAX_WORKLOAD_MESSAGE_BYTES } from "./workload/workload-wire.ts";

export interface OpenIdentityOptions {
  readonly settings: IdentitySettings;
  /** "host:port", with TLS; where the authority is asked unless the settings say otherwise. Undefined: a bootstrap says it. */
  readonly controlPlane: string | undefined;
  readonly secretType: ResourceType<SecretConfig>;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
}

/** The identity that the settings speak of; not begun yet. On failure: why there can be none. */
export async function openIdentity(options: OpenIdentityOptions): Promise<Result<OwnIdentity, string>> {
  const opened = openSource(options);
  if (!opened.ok) return opened;
  const { serveAt } = options.settings;
  const { secretType, clock, log } = options;
  const { onClose, ...parts } = opened.value;
  if (serveAt === undefined) return ok(new JoinedIdentity({ ...opened.value, secretType, clock }));
  const server = new WorkloadServer({ live: parts.source.live, log });
  const listening = await server.listen(serveAt);
  if (!listening.ok) return listening;
  const closeAll = (): void => {
    server.close();
    onClose?.();
  };
  return ok(new JoinedIdentity({ ...parts, secretType, clock, onClose: closeAll }));
}

type Opened = Omit<JoinedIdentityOptions, "secretType" | "clock">;

function openSource(options: OpenIdentityOptions): Result<Opened, string> {
  const { source } = options.settings;
  switch (source.type) {
    case "authority":
      return openAuthority(source, options);
    case "workload-api":
      return ok(openAgent(source.target, options));
    default:
      throw new Error(`unknown source ${(source satisfies never as { type: string }).type}`);
  }
}

/** Of a SPIFFE agent, which tells whom to believe as well. */
function openAgent(target: string, { clock, log, random }: OpenIdentityOptions): Opened {
  const dial = xdsDial(target, { maxMessageBytes: MAX_WORKLOAD_MESSAGE_BYTES });
  const source = new WorkloadIdentity({ clock, log, random, dial });
  const trust = (): ControlPlaneTrust => {
    const [own] = source.live.current.bundles;
    if (own === undefined) throw new Error("the SPIFFE agent has not told whom to believe");
    return { trustDomain: own.trustDomain, authorities: own.x509Authorities };
  };
  return { source, trust };
}

type AuthoritySource = Extract<IdentitySettings["source"], { type: "authority" }>;

function openAuthority(settings: AuthoritySource, options: OpenIdentityOptions): Result<Opened, string> {
  const { controlPlane, clock, log, random } = options;
  const address = settings.address ?? controlPlane;
  if (address === undefined) return err("nobody says where the authority is asked");
  const readFile = lastGood(() => readTrustFile(settings.caBundle));
  const file = readFile();
  if (!file.ok) return file;

  const store = settings.keptIn === undefined ? undefined : new IdentityFile(settings.keptIn);
  const source: AuthorityIdentity = new AuthorityIdentity({
    clock,
    log,
    random,
    issue: (csr, proof) => {
      const svid = proof.type === "svid" ? proof.svid : undefined;
      return issueCertificate(() => dial(svid), csr, proof, clock.wallNow());
    },
    token: () => readCallerToken(settings.tokens),
    kept: store && kept(store, clock, log),
    ...(store && { keep: (identity: Identity, tokenDigest?: string) => store.save(identity, tokenDigest) }),
    ...(settings.renewAtPercent !== undefined && { renewAtPercent: settings.renewAtPercent }),
  });
  const trust = (): ControlPlaneTrust => {
    const now = readFile();
    if (!now.ok) throw new Error(now.error);
    return joinTrust(now.value, source.live.current.bundles[0]);
  };
  const dial = (svid: OwnSvid | undefined): XdsChannel =>
    xdsDial(address, {
      security: () => controlPlaneCredentials(trust(), svid, () => clock.wallNow()),
      serverName: tlsNameOf(address),
      maxMessageBytes: MAX_AUTHORITY_MESSAGE_BYTES,
    })();
  const bundles = new BundleFollower({ clock, log, random, onBundles: (now) => source.receiveBundles(now) });
  if (settings.address === undefined) {
    // The control plane is the authority: what is open to it serves for this as well.
    const onConnected = (channel: XdsChannel): void => bundles.attach(channel);
    return ok({ source, trust, onConnected, onClose: () => bundles.close() });
  }
  let channel: XdsChannel | undefined;
  const unwatch = source.live.watch(({ svid }, before) => {
    if (svid === before.svid || svid === undefined) return;
    const next = dial(svid);
    bundles.attach(next);
    channel?.close();
    channel = next;
  });
  const onClose = (): void => {
    unwatch();
    bundles.close();
    channel?.close();
  };
  return ok({ source, trust, onClose });
}

function kept(store: IdentityFile, clock: Clock, log: Log): KeptIdentity | undefined {
  const loaded = store.load(clock.wallNow());
  if (loaded.ok) return loaded.value;
  log.warn("the certificate that was kept cannot be used; another one is asked for", { reason: loaded.error });
  return undefined;
}

/** As it was read last where it cannot be read now. */
function lastGood<Value>(read: () => Result<Value, string>): () => Result<Value, string> {
  let good: Result<Value, string> | undefined;
  return () => {
    const now = read();
    if (now.ok) good = now;
    return good ?? now;
  };
}
