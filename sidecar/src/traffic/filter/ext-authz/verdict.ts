import type { HeaderChange, RequestChanges } from "@heddle/traffic/ext-authz";

/** What a service has answered, whichever language it speaks. */
export type Verdict = Allowed | Denied | Failed;

export interface Allowed extends RequestChanges {
  readonly type: "allowed";
  /** Of the answer that the client gets. */
  readonly responseHeaders: readonly HeaderChange[];
  readonly metadata: Metadata;
}

export interface Denied {
  readonly type: "denied";
  readonly status: number;
  readonly headers: readonly HeaderChange[];
  readonly body: Uint8Array;
  readonly metadata: Metadata;
}

/** It could not be asked, did not answer, or could not say. */
export interface Failed {
  readonly type: "failed";
  /** 0: what the configuration says. */
  readonly status: number;
  readonly headers: readonly HeaderChange[];
  readonly body: Uint8Array;
  readonly metadata: Metadata;
}

export type Metadata = readonly (readonly [key: string, value: unknown])[];

const EMPTY = new Uint8Array(0);

export const FAILED: Failed = { type: "failed", status: 0, headers: [], body: EMPTY, metadata: [] };
