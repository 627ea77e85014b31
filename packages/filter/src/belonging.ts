export interface Cancellable {
  cancel(): void;
}

/** A timer or a side request, as long as it runs. */
export class Belonging implements Cancellable {
  inner: Cancellable | undefined = undefined;
  readonly #all: Set<Cancellable>;

  constructor(all: Set<Cancellable>) {
    this.#all = all;
    all.add(this);
  }

  /** False if it has ended before. */
  end(): boolean {
    return this.#all.delete(this);
  }

  cancel(): void {
    if (this.end()) this.inner?.cancel();
  }
}
