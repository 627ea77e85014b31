import type { Live } from "@heddle/base";
import type { FormatEnvironment } from "@heddle/telemetry";
import type { DrainOptions, ServingState } from "../listener/serving-state.ts";
import type { LoadShedder } from "../overload/load-shedder.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import type { Demands } from "../worker/demands.ts";
import type { DateHeader } from "./date-header.ts";
import type { RandomHex } from "./random-hex.ts";
import type { TrafficRuntime } from "./traffic-runtime.ts";

/** What the HTTP stage of one worker needs from outside. */
export interface HttpEnv extends UpstreamEnv {
  readonly runtime: Live<TrafficRuntime>;
  /** Whether answers have to close their connections. */
  readonly serving: Live<ServingState>;
  readonly drain: DrainOptions;
  readonly shedder: LoadShedder;
  readonly date: DateHeader;
  readonly randomHex: RandomHex;
  /** Left out: nobody brings anything on demand. */
  readonly demands?: Demands;
  /** What formats of logs, local replies and header values take from the process. */
  readonly format: FormatEnvironment;
}
