import { DEFAULT_LIMITS, type XdsServerLimits } from "@heddle/xds/server";
import { MAX_MESSAGE_BYTES } from "./serve/bound-port.ts";
import { type MessageBudgetLimits, NODES_BUDGET } from "./serve/message-budget.ts";

/** What xDS clients may ask of a control plane. */
export interface XdsLimits {
  /** Where they differ from `DEFAULT_LIMITS`. */
  readonly server: Partial<XdsServerLimits>;
  /** Of one message of a client; what a service of its own bounds more closely stays so. */
  readonly messageBytes: number;
  /** Of the messages of all clients that are under way. */
  readonly budget: MessageBudgetLimits;
}

export const XDS_LIMIT_OPTIONS = {
  "xds-max-streams": { type: "string" },
  "xds-max-streams-per-address": { type: "string" },
  "xds-max-streams-per-node": { type: "string" },
  "xds-max-names": { type: "string" },
  "xds-max-message-bytes": { type: "string" },
  "xds-max-pending-bytes": { type: "string" },
  "xds-first-request-timeout": { type: "string" },
  "xds-stalled-timeout": { type: "string" },
} as const;

type LimitFlag = keyof typeof XDS_LIMIT_OPTIONS;

/** A sidecar has one for its resources, and beside it what it reports, its load and its certificate, and for a moment the next of each. */
const LEAST_STREAMS_PER_NODE = 8;

export const XDS_LIMIT_HELP = `  --xds-max-streams N        of all xDS clients (${DEFAULT_LIMITS.maxStreams})
  --xds-max-streams-per-address N
                             from one address (${DEFAULT_LIMITS.maxStreamsPerPeer}: a whole mesh may stand behind one)
  --xds-max-streams-per-node N
                             of one node.id, and on one connection (${DEFAULT_LIMITS.maxStreamsPerNode}; at least ${LEAST_STREAMS_PER_NODE}:
                             a sidecar has some beside that of its resources)
  --xds-max-names N          that one stream may ask for (${DEFAULT_LIMITS.maxNames})
  --xds-max-message-bytes N  of one message of a client (${MAX_MESSAGE_BYTES})
  --xds-max-pending-bytes N  of the messages of all clients that have come in part or are being answered (${NODES_BUDGET.bytes})
  --xds-first-request-timeout SECONDS
                             in which a new stream has to say who it is (${DEFAULT_LIMITS.firstRequestTimeoutMs / 1000})
  --xds-stalled-timeout SECONDS
                             in which a client has to take a response whole; there is never more than one under way on a
                             stream (${DEFAULT_LIMITS.stalledTimeoutMs / 1000})`;

const KIB = 1024;
const MAX_COUNT = 10_000_000;
/** gRPC reads the length of a message as 32 bits, and a string of JavaScript has an end as well. */
const MAX_BYTES = 1024 * KIB * KIB;
const MAX_PENDING_BYTES = 64 * MAX_BYTES;
const MAX_SECONDS = 3600;

/** @param faults gets what is wrong; what is given back is then not to be used. Undefined: nothing is said. */
export function readXdsLimitFlags(
  values: Readonly<Partial<Record<LimitFlag, string | undefined>>>,
  faults: string[],
): XdsLimits | undefined {
  const given = (Object.keys(XDS_LIMIT_OPTIONS) as LimitFlag[]).filter((flag) => values[flag] !== undefined);
  if (given.length === 0) return undefined;
  const read = (flag: LimitFlag, byDefault: number, least: number, most: number): number => {
    const text = values[flag];
    if (text === undefined) return byDefault;
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    faults.push(`--${flag}: found "${text}", allowed: a whole number from ${least} to ${most}`);
    return byDefault;
  };
  const messageBytes = read("xds-max-message-bytes", MAX_MESSAGE_BYTES, 64 * KIB, MAX_BYTES);
  const bytes = read("xds-max-pending-bytes", Math.max(NODES_BUDGET.bytes, messageBytes), 64 * KIB, MAX_PENDING_BYTES);
  if (bytes < messageBytes)
    faults.push(`--xds-max-pending-bytes: found ${bytes}, allowed: as many as one message may have (${messageBytes})`);
  const seconds = (flag: LimitFlag, byDefaultMs: number): number =>
    read(flag, byDefaultMs / 1000, 1, MAX_SECONDS) * 1000;
  return {
    server: {
      maxStreams: read("xds-max-streams", DEFAULT_LIMITS.maxStreams, 1, MAX_COUNT),
      maxStreamsPerPeer: read("xds-max-streams-per-address", DEFAULT_LIMITS.maxStreamsPerPeer, 1, MAX_COUNT),
      maxStreamsPerNode: read(
        "xds-max-streams-per-node",
        DEFAULT_LIMITS.maxStreamsPerNode,
        LEAST_STREAMS_PER_NODE,
        MAX_COUNT,
      ),
      maxNames: read("xds-max-names", DEFAULT_LIMITS.maxNames, 1, MAX_COUNT),
      firstRequestTimeoutMs: seconds("xds-first-request-timeout", DEFAULT_LIMITS.firstRequestTimeoutMs),
      stalledTimeoutMs: seconds("xds-stalled-timeout", DEFAULT_LIMITS.stalledTimeoutMs),
    },
    messageBytes,
    // One of the largest messages of a connection, with others beside it.
    budget: { connectionBytes: Math.min(bytes, Math.max(NODES_BUDGET.connectionBytes, messageBytes * 1.25)), bytes },
  };
}
