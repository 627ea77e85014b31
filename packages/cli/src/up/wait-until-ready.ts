import { connect } from "node:net";
import type { Clock } from "@heddle/base";
import type { PlannedWorkload } from "./plan.ts";

export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

const TRY_AGAIN_MS = 50;

/** Resolves when every application listens and every sidecar says that it is ready, or with who was not in time. */
export async function waitUntilReady(
  workloads: readonly PlannedWorkload[],
  clock: Clock,
  withinMs: number,
): Promise<Readiness> {
  const deadline = clock.now() + withinMs;
  let waiting = workloads.flatMap((workload) => [
    {
      what: `${workload.spec.name} does not listen on port ${workload.applicationPort}`,
      isReady: () => accepts(workload.applicationPort),
    },
    { what: `the sidecar of ${workload.spec.name} is not ready`, isReady: () => saysReady(workload.adminPort) },
    {
      what: `the sidecar of ${workload.spec.name} does not listen on port ${workload.publicPort}`,
      isReady: () => accepts(workload.publicPort),
    },
  ]);
  while (waiting.length > 0) {
    const answers = await Promise.all(waiting.map(({ isReady }) => isReady()));
    waiting = waiting.filter((_, index) => answers[index] !== true);
    if (waiting.length === 0) break;
    if (clock.now() >= deadline)
      return { ready: false, reason: `after ${withinMs / 1000} s ${waiting.map(({ what }) => what).join("; ")}` };
    await new Promise<void>((resolve) => clock.after(TRY_AGAIN_MS, resolve));
  }
  return { ready: true };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function saysReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/ready`);
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false; // not listening yet
  }
}
