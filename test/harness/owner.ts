/** Ends what a test or a suite has begun: a `TestContext`, or `{ after }` of node:test. */
export interface Owner {
  after(end: () => unknown): void;
}

/**
 * Ends what was begun last first, as things depend on each other; node:test begins with the first. For a suite it has to be
 * made in the suite's body: within `before` node:test's `after` means the end of that hook.
 */
export function lastFirst(owner: Owner): Owner {
  const ends: (() => unknown)[] = [];
  owner.after(async () => {
    const errors: unknown[] = [];
    for (const end of ends.reverse()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
  return { after: (end) => void ends.push(end) };
}
