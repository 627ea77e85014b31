/**
 * `unusable`: the place cannot be made, read, reached or locked. `taken`: another process has it. `damaged`: what was
 * committed is no longer whole.
 */
export type StoreFault = "unusable" | "taken" | "damaged";

/** The store cannot be used as things stand: the message says why, and what can be done. */
export class StoreError extends Error {
  readonly fault: StoreFault;

  constructor(fault: StoreFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}
