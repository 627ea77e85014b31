import { type ClientReadableStream, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { Backoff, type Clock, Live, type Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { XdsChannel } from "@heddle/xds/client";
import { checkOwnSvid } from "../check-svid.ts";
import { type Identity, type IdentitySource, type IdentityState, NO_IDENTITY } from "../own-identity.ts";
import { decodeX509SvidResponse, FETCH_X509_SVID, SECURITY_HEADER } from "./workload-wire.ts";

export interface WorkloadIdentityOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
  /** Makes a connection to the agent. */
  readonly dial: () => XdsChannel;
}

const BACKOFF = { baseMs: 500, maxMs: 30_000 };

/** Timers stand still while a machine sleeps: whether the certificate has expired is looked at this often. */
const LOOK_MS = 30_000;

/**
 * An identity from a SPIFFE agent on this machine (SPIRE's, say), by the Workload API: the agent makes the keys and renews. Its
 * stream is kept open and opened again when it ends (§4.2); meanwhile what it has told serves until it expires.
 */
export class WorkloadIdentity implements IdentitySource {
  readonly live = new Live<Identity>(NO_IDENTITY);
  readonly #options: WorkloadIdentityOptions;
  readonly #backoff: Backoff;
  #channel: XdsChannel | undefined;
  #stream: ClientReadableStream<Buffer> | undefined;
  #retry: Timer | undefined;
  #expiry: Timer | undefined;
  #hadOne = false;
  #lastError = "";
  #renewals = 0;
  #failures = 0;

  constructor(options: WorkloadIdentityOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
  }

  get state(): IdentityState {
    const { svid } = this.live.current;
    const without = this.#hadOne ? "expired" : "none";
    return {
      state: svid === undefined ? without : this.#stream === undefined ? "renewing" : "valid",
      lastError: this.#lastError,
      renewals: this.#renewals,
      failures: this.#failures,
    };
  }

  start(): void {
    this.#open();
  }

  close(): void {
    this.#retry?.cancel();
    this.#expiry?.cancel();
    this.#hangUp();
  }

  #open(): void {
    let stream: ClientReadableStream<Buffer>;
    try {
      this.#channel = this.#options.dial();
      const metadata = new Metadata();
      metadata.set(SECURITY_HEADER, "true");
      stream = this.#channel.makeServerStreamRequest(FETCH_X509_SVID, asIs, asIs, Buffer.alloc(0), metadata);
    } catch (error) {
      this.#lost(`it cannot be dialled: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#stream = stream;
    stream.on("error", () => undefined); // each end comes as a status too
    stream.on("data", (bytes: Buffer) => {
      if (stream === this.#stream) this.#receive(bytes);
    });
    stream.on("status", (ended: StatusObject) => {
      if (stream === this.#stream) this.#ended(ended);
    });
  }

  #receive(bytes: Buffer): void {
    const { clock, log } = this.#options;
    const told = decodeX509SvidResponse(bytes);
    const svid = told.ok ? checkOwnSvid(told.value, clock.wallNow()) : told;
    if (!told.ok || !svid.ok) {
      this.#failures += 1;
      this.#lastError = svid.ok ? "" : svid.error;
      log.error("what the SPIFFE agent says is of no use; what it said before is used", { reason: this.#lastError });
      return;
    }
    if (svid.value.id !== told.value.id) {
      this.#failures += 1;
      this.#lastError = "the certificate names another SPIFFE ID than the message";
      log.error("what the SPIFFE agent says is of no use; what it said before is used", { reason: this.#lastError });
      return;
    }
    this.#backoff.reset();
    this.#hadOne = true;
    this.#renewals += 1;
    this.#lastError = "";
    log.info("the SPIFFE agent has told who this sidecar is", {
      id: svid.value.id,
      expires: new Date(svid.value.validToMs).toISOString(),
    });
    this.live.publish({ svid: svid.value, bundles: told.value.bundles });
    this.#watchExpiry();
  }

  #ended({ code, details }: StatusObject): void {
    const reason = `${details === "" ? "the stream ended" : details} (${status[code] ?? code})`;
    // §5.2.1: what is redacted is not used any more.
    if (code === status.PERMISSION_DENIED) this.#withdraw("the SPIFFE agent gives this sidecar no identity (any more)");
    // Workload Endpoint §6: asking again would not help.
    if (code === status.INVALID_ARGUMENT || code === status.UNIMPLEMENTED) {
      this.#hangUp();
      this.#failures += 1;
      this.#lastError = reason;
      this.#options.log.error("the SPIFFE agent does not take our call; it is not asked again", { reason });
      return;
    }
    this.#lost(reason);
  }

  #lost(reason: string): void {
    const { clock, log } = this.#options;
    this.#hangUp();
    this.#failures += 1;
    // While an agent is away every attempt fails alike; the first word of it is enough.
    if (this.#lastError === "") log.warn("lost the SPIFFE agent", { reason });
    else log.debug("the SPIFFE agent is still away", { reason });
    this.#lastError = reason;
    this.#retry = clock.after(this.#backoff.nextMs(), () => this.#open(), true);
  }

  #watchExpiry(): void {
    this.#expiry?.cancel();
    const { svid } = this.live.current;
    if (svid === undefined) return;
    const { clock } = this.#options;
    const leftMs = svid.validToMs - clock.wallNow();
    if (leftMs <= 0) this.#withdraw("the certificate has expired, and the SPIFFE agent has given no other");
    else this.#expiry = clock.after(Math.min(leftMs, LOOK_MS), () => this.#watchExpiry(), true);
  }

  #withdraw(why: string): void {
    this.#expiry?.cancel();
    if (this.live.current.svid === undefined) return;
    this.#options.log.error(`${why}: connections that need it are refused until there is another`);
    this.live.publish({ svid: undefined, bundles: this.live.current.bundles });
  }

  #hangUp(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    this.#channel?.close();
    this.#channel = undefined;
  }
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
