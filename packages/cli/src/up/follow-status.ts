import type { Clock } from "@heddle/base";
import { readStatus, troubles } from "../status.ts";

const LOOK_EVERY_MS = 250;

/** Prints what becomes wrong with the mesh's configuration, once, and that it has been mended. */
export function followStatus(adminUrl: string, clock: Clock, print: (line: string) => void): { close(): void } {
  let closed = false;
  let known = new Set<string>();
  let timer = clock.after(LOOK_EVERY_MS, look);

  function look(): void {
    void readStatus(adminUrl).then((status) => {
      if (closed) return;
      if (status.ok) {
        const now = new Set(troubles(status.value));
        for (const trouble of now) if (!known.has(trouble)) print(trouble);
        if (known.size > 0 && now.size === 0) print("mended: the configuration is in force as it stands");
        known = now;
      }
      timer = clock.after(LOOK_EVERY_MS, look);
    });
  }

  return {
    close() {
      closed = true;
      timer.cancel();
    },
  };
}
