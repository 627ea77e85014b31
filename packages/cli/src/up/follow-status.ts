import type { Clock } from "@heddle/base";
import { readStatus, troubles } from "../status.ts";

const LOOK_EVERY_MS = 250;

/**
 * Prints what becomes wrong with the mesh's configuration, once, and that it has been mended; also which of the nodes
 * lose the control plane and find it again.
 */
export function followStatus(
  adminUrl: string,
  nodes: readonly string[],
  clock: Clock,
  print: (line: string) => void,
): { close(): void } {
  let closed = false;
  let away = new Set<string>();
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
        away = tellOfNodes(nodes, new Set(status.value.nodes.map(({ id }) => id)), away, print);
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

/** Returns who is away now. */
function tellOfNodes(
  nodes: readonly string[],
  connected: ReadonlySet<string>,
  wereAway: ReadonlySet<string>,
  print: (line: string) => void,
): Set<string> {
  const away = new Set(nodes.filter((id) => !connected.has(id)));
  for (const id of away)
    if (!wereAway.has(id)) print(`${id} is not connected to the control plane; it serves what it has`);
  for (const id of wereAway) if (!away.has(id)) print(`${id} is connected to the control plane again`);
  return away;
}
