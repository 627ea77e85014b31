import { createLog, type LogOptions } from "./create-log.ts";
import { LineOutput } from "./line-output.ts";
import type { Log } from "./log.ts";
import type { Counter } from "./metrics.ts";

export interface ProgramLog {
  readonly log: Log;
  /** Lines that could not be written. */
  readonly dropped: number;
  /** Counts them; a program has its log before its metrics. */
  readonly countIn: (counter: Counter) => void;
  readonly close: () => void;
}

/**
 * A program's log on a descriptor (2 is standard error). It never waits for whoever reads it: see `LineOutput`. Lines that were
 * lost are told of in the log itself, once it can be written again.
 */
export function programLog(descriptor: number, options: Omit<LogOptions, "write">): ProgramLog {
  let lossLine = "";
  const loss = createLog({
    ...options,
    write: (line) => {
      lossLine = line;
    },
  });
  const output = new LineOutput(descriptor, {
    clock: options.clock,
    describeLoss: (lines) => {
      lossLine = "";
      loss.warn("log lines were dropped: nobody read them, or they could not be written", { lines });
      return lossLine;
    },
  });
  return {
    log: createLog({ ...options, write: output.write }),
    get dropped() {
      return output.dropped;
    },
    countIn: (counter) => output.countIn(counter),
    close: () => output.close(),
  };
}
