import type { ServerInterceptor } from "@grpc/grpc-js";
import type { Clock } from "@heddle/base";
import type { Counter, Log } from "@heddle/telemetry";
import { LinePace } from "@heddle/xds/server";
import { boundMessages, type MessageBounds } from "./bound-messages.ts";
import type { MessageBudget } from "./message-budget.ts";
import type { CallLimit } from "./open-calls.ts";
import type { GrpcServices } from "./serve-xds.ts";

export interface PortBounds {
  readonly services: readonly GrpcServices[];
  readonly budget: MessageBudget;
  /** Of a message to a service that has no bound of its own. */
  readonly messageBytes: number;
  /** Whether all its clients have shown one that is good. */
  readonly hasCertificates: boolean;
  /** Left out: each connection is a client of its own. */
  readonly clientOf?: MessageBounds["clientOf"];
  readonly clock: Clock;
  readonly log: Log;
  readonly refused: Counter;
}

/** A client that holds much says so in one message. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const REFUSALS_LOGGED_PER_SECOND = 50;

/** Holds the messages that come to a port to its budget, and each to what its service takes. */
export function boundPort({
  services,
  budget,
  messageBytes,
  hasCertificates,
  clientOf,
  clock,
  log,
  refused,
}: PortBounds): ServerInterceptor {
  const lines = new LinePace(clock, REFUSALS_LOGGED_PER_SECOND);
  return boundMessages({
    budget,
    clock,
    ...(clientOf !== undefined && { clientOf }),
    messageBytes: (path, metadata) => {
      const values = metadata.get("authorization");
      const authorization = values.length === 1 ? String(values[0]) : undefined;
      for (const service of services) {
        const own = service.messageBytes?.(path, authorization, hasCertificates);
        if (own !== undefined) return own;
      }
      return messageBytes;
    },
    callLimit: (path) => {
      for (const service of services) {
        const own: CallLimit | undefined = service.callLimit?.(path);
        if (own !== undefined) return own;
      }
      return undefined;
    },
    onRefused: (path, why) => {
      refused.add();
      if (lines.take()) log.warn("gRPC call ended for its messages", { path, why });
    },
  });
}
