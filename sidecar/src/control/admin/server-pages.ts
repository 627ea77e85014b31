import type { Clock, Inspectable, Json } from "@heddle/base";
import type { NodeIdentity } from "@heddle/config";
import { type AdminAnswer, type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import type { Address } from "@heddle/traffic";
import { addressJson, addressText } from "./address-form.ts";
import { nodeJson } from "./node-json.ts";

/** Envoy's `ServerInfo.State`. */
export type ServerState = "LIVE" | "DRAINING" | "PRE_INITIALIZING" | "INITIALIZING";

export interface ServerSubjects {
  /** As `--version` says it: "<commit>/0.1.0/Clean/RELEASE/…". */
  readonly version: string;
  readonly node: NodeIdentity;
  /** `envoy.admin.v3.CommandLineOptions`. */
  readonly commandLine: Json;
  readonly clock: Clock;
  readonly state: () => ServerState;
  /** Where each listener really listens. */
  readonly listeners: () => readonly { readonly name: string; readonly address: Address }[];
  readonly parts: readonly Inspectable[];
}

/** The pages about the process itself. */
export function serverPages(subjects: ServerSubjects): AdminPage[] {
  const startedMs = subjects.clock.now();
  return [
    {
      path: "/ready",
      method: "GET",
      help: "200 and LIVE once requests are served as configured, else 503 and the state",
      answer: () => ({ status: subjects.state() === "LIVE" ? 200 : 503, body: `${subjects.state()}\n` }),
    },
    {
      path: "/server_info",
      method: "GET",
      help: "version, state, uptime, flags and node",
      answer: () => jsonAnswer(serverInfo(subjects, startedMs)),
    },
    {
      path: "/listeners",
      method: "GET",
      help: "where the listeners listen",
      params: [{ name: "format", help: "how it is written", values: ["text", "json"] }],
      answer: (query) => listeners(subjects, query.get("format") === "json"),
    },
    {
      path: "/inspect",
      method: "GET",
      help: "the inside of the control thread's parts, for people who develop Heddle",
      answer: () => jsonAnswer(Object.fromEntries(subjects.parts.map((part) => [part.name, part.inspect()]))),
    },
  ];
}

function serverInfo({ version, state, clock, node, commandLine }: ServerSubjects, startedMs: number): Json {
  const uptime = `${Math.floor((clock.now() - startedMs) / 1000)}s`;
  return {
    version,
    state: state(),
    hot_restart_version: "disabled",
    command_line_options: commandLine,
    node: nodeJson(node),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
  };
}

function listeners(subjects: ServerSubjects, asJson: boolean): AdminAnswer {
  const all = subjects.listeners();
  if (!asJson) return { body: all.map(({ name, address }) => `${name}::${addressText(address)}\n`).join("") };
  const byName = Map.groupBy(all, ({ name }) => name);
  return jsonAnswer({
    listener_statuses: [...byName].map(([name, places]) => {
      const [first, ...more] = places.map(({ address }) => addressJson(address));
      return {
        name,
        local_address: first ?? {}, // a group has at least one
        ...(more.length > 0 && { additional_local_addresses: more }),
      };
    }),
  });
}
