import type { Command } from "../command.ts";
import { becomeProgram, type ProgramName } from "../program.ts";

/** `heddle sidecar …` and `heddle control-plane …`: the program itself reads the flags, `--help` included. */
export function runProgram(name: ProgramName): Command {
  return { name, help: "", run: async (args) => becomeProgram(name, args) };
}
