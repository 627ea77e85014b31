import { eventually } from "./eventually.ts";
import type { Owner } from "./owner.ts";

/** Calls that go on, one after another, while something else happens. */
export interface SteadyTraffic {
  /** So many more calls have been answered since this was asked. */
  more(count: number): Promise<void>;
  /** Ends it. Resolves to how many there were, and to those that went wrong. */
  end(): Promise<{ readonly calls: number; readonly lost: readonly string[] }>;
}

/** @param call resolves to undefined where all went well, else to what did not. */
export function steadyTraffic(owner: Owner, call: () => Promise<string | undefined>): SteadyTraffic {
  let calls = 0;
  let isOver = false;
  const lost: string[] = [];
  const done = (async () => {
    while (!isOver) {
      const why = await call();
      calls++;
      if (why !== undefined) lost.push(why);
    }
  })();
  const end: SteadyTraffic["end"] = async () => {
    isOver = true;
    await done;
    return { calls, lost };
  };
  owner.after(end);
  return {
    more: (count) => {
      const until = calls + count;
      return eventually(`${count} more calls`, () => calls >= until, 60_000);
    },
    end,
  };
}
