import { type ClientDuplexStream, type StatusObject, status } from "@grpc/grpc-js";
import type { Clock, Timer } from "@heddle/base";
import { EtcdChannel, EtcdError } from "./etcd-channel.ts";
import { type EtcdSecurity, readCredentials, readUser } from "./etcd-security.ts";
import {
  decodeAuthenticate,
  decodeRange,
  decodeTxn,
  decodeWatch,
  encodeAuthenticate,
  encodeProgressRequest,
  encodeRange,
  encodeTxn,
  encodeWatch,
  type RangeRequest,
  type RangeResponse,
  type TxnRequest,
  type TxnResponse,
  type WatchResponse,
} from "./etcd-wire.ts";

export interface EtcdSessionOptions {
  /** Host and port of the member. */
  readonly target: string;
  readonly security: EtcdSecurity;
  readonly clock: Clock;
  /** How long an answer may take. */
  readonly timeoutMs: number;
}

/** A time with one member: logged in, asked, watched, until it answers no more. */
export class EtcdSession {
  readonly target: string;
  readonly #channel: EtcdChannel;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #watch: ClientDuplexStream<Buffer, Buffer> | undefined;
  #onEnd: ((error: Error) => void) | undefined;
  #timer: Timer | undefined;

  private constructor(options: EtcdSessionOptions, channel: EtcdChannel) {
    this.target = options.target;
    this.#channel = channel;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
  }

  /** Resolves with a session that has logged in, where that is asked for. Rejects with what was in the way. */
  static async open(options: EtcdSessionOptions): Promise<EtcdSession> {
    const { target, security, clock, timeoutMs } = options;
    const [credentials, user] = await Promise.all([readCredentials(security), readUser(security)]);
    const channel = new EtcdChannel(target, credentials, clock);
    try {
      if (user !== undefined) {
        const request = encodeAuthenticate(user.name, user.password);
        channel.useToken(await channel.call("Auth/Authenticate", request, decodeAuthenticate, timeoutMs));
      }
      return new EtcdSession(options, channel);
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  /** What is there, in the view of a majority. */
  range(request: RangeRequest): Promise<RangeResponse> {
    return this.#channel.call("KV/Range", encodeRange(request), decodeRange, this.#timeoutMs);
  }

  txn(request: TxnRequest, timeoutMs: number): Promise<TxnResponse> {
    return this.#channel.call("KV/Txn", encodeTxn(request), decodeTxn, timeoutMs);
  }

  /**
   * Follows a range of keys from a revision on. `onEnd` is called once, with why nothing more will come; a response that
   * cancels the watch is told before.
   */
  watch(
    { first, end }: { readonly first: Uint8Array; readonly end: Uint8Array },
    fromRevision: number,
    onResponse: (response: WatchResponse) => void,
    onEnd: (error: Error) => void,
  ): void {
    const stream = this.#channel.watch();
    this.#watch = stream;
    this.#onEnd = onEnd;
    stream.on("error", () => undefined); // each end comes as a status too
    stream.on("data", (bytes: Buffer) => {
      if (this.#watch !== stream) return;
      this.#expectSomething();
      let response: WatchResponse;
      try {
        response = decodeWatch(bytes);
      } catch (error) {
        this.#end(error as Error);
        return;
      }
      onResponse(response);
      if (response.canceled) this.#end(new Error(`the watch was cancelled: ${response.cancelReason}`));
    });
    stream.on("status", ({ code, details }: StatusObject) => this.#end(new EtcdError(code, details)));
    stream.write(encodeWatch(first, end, fromRevision));
    this.#expectSomething();
  }

  /** Ends the session as if the member had: whoever follows it is told. */
  lose(error: Error): void {
    this.#end(error);
  }

  close(): void {
    this.#onEnd = undefined;
    this.#end(new Error("closed"));
  }

  /**
   * A member that hangs, or a network that has swallowed it, says nothing; nor does one where nothing changes. So a quiet
   * one is asked for a sign of life, and has as long as for an answer.
   */
  #expectSomething(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(
      QUIET_MS,
      () => {
        this.#watch?.write(encodeProgressRequest());
        const silent = new EtcdError(status.DEADLINE_EXCEEDED, "the member has fallen silent");
        this.#timer = this.#clock.after(this.#timeoutMs, () => this.#end(silent), true);
      },
      true,
    );
  }

  #end(error: Error): void {
    this.#timer?.cancel();
    const [watch, onEnd] = [this.#watch, this.#onEnd];
    this.#watch = undefined;
    this.#onEnd = undefined;
    watch?.cancel();
    this.#channel.close();
    onEnd?.(error);
  }
}

const QUIET_MS = 3_000;
