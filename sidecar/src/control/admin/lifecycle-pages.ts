import type { AdminPage } from "@heddle/telemetry/admin";

/** What an operator can do to a sidecar that runs. */
export interface LifecycleActions {
  /** Begins to end the process. */
  readonly quit: () => void;
  /** Health checks fail from now on, and answers ask their connections to close; or no more. */
  readonly failHealthChecks: (failing: boolean) => void;
  /** Accepts no more connections; see the parameters of Envoy's `/drain_listeners`. */
  readonly drainListeners: (drain: ListenerDrain) => void;
  /** Opens the files of access logs anew, after something has moved them away. */
  readonly reopenLogs: () => void;
}

export interface ListenerDrain {
  /** Connections are asked to close over the drain time before listeners close; else these close at once. */
  readonly graceful: boolean;
  /** Of listeners whose `traffic_direction` is INBOUND alone. */
  readonly inboundOnly: boolean;
  /** With `graceful`: listeners stay open at the end of the drain time. */
  readonly skipExit: boolean;
}

/** The pages that take a sidecar out of service, and back. */
export function lifecyclePages(actions: LifecycleActions): AdminPage[] {
  const page = (path: string, help: string, act: () => void): AdminPage => ({
    path,
    method: "POST",
    help,
    answer() {
      act();
      return { body: "OK\n" };
    },
  });
  return [
    page("/quitquitquit", "drain and end the process", actions.quit),
    page("/healthcheck/fail", "fail health checks, and let connections go", () => actions.failHealthChecks(true)),
    page("/healthcheck/ok", "take that back", () => actions.failHealthChecks(false)),
    page("/reopen_logs", "open the files of access logs anew (as SIGUSR1 does)", actions.reopenLogs),
    {
      path: "/drain_listeners",
      method: "POST",
      help: "accept no more connections",
      params: [
        { name: "graceful", help: "ask connections to close over the drain time first", values: [] },
        { name: "skip_exit", help: "with graceful: keep listening afterwards", values: [] },
        { name: "inboundonly", help: "listeners with traffic_direction INBOUND alone", values: [] },
      ],
      answer(query) {
        const [graceful, skipExit] = [query.has("graceful"), query.has("skip_exit")];
        if (skipExit && !graceful) return { status: 400, body: "skip_exit is only understood with graceful\n" };
        actions.drainListeners({ graceful, skipExit, inboundOnly: query.has("inboundonly") });
        return { body: "OK\n" };
      },
    },
  ];
}
