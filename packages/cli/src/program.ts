import { fileURLToPath } from "node:url";
import { NODE_FLAGS as CONTROL_PLANE_FLAGS } from "@heddle/control-plane/node-flags";
import { NODE_ENVIRONMENT, NODE_FLAGS as SIDECAR_FLAGS } from "@heddle/sidecar";

export type ProgramName = "control-plane" | "injector" | "sidecar";

/** The door of each that starts it. */
const ENTRIES: Readonly<Record<ProgramName, string>> = {
  "control-plane": "@heddle/control-plane/main",
  injector: "@heddle/control-plane/injector",
  sidecar: "@heddle/sidecar/main",
};

const NODE_FLAGS: Readonly<Record<ProgramName, readonly string[]>> = {
  "control-plane": CONTROL_PLANE_FLAGS,
  injector: [],
  sidecar: SIDECAR_FLAGS,
};

/** How to start one of the programs: node's arguments up to and including its entry file. */
export function programArgv(name: ProgramName): string[] {
  const entry = fileURLToPath(import.meta.resolve(ENTRIES[name]));
  const conditions = process.execArgv.filter((flag) => flag.startsWith("--conditions="));
  return ["--disable-warning=ExperimentalWarning", ...conditions, ...NODE_FLAGS[name], entry];
}

/** The environment that it is to have. */
export function programEnvironment(name: ProgramName): Record<string, string | undefined> {
  return name === "sidecar" ? { ...NODE_ENVIRONMENT, ...process.env } : process.env;
}

/** Becomes that program: same process id, so whoever supervises `heddle sidecar` supervises the sidecar. */
export function becomeProgram(name: ProgramName, args: readonly string[]): never {
  if (process.execve === undefined) throw new Error("this platform cannot replace a process");
  return process.execve(process.execPath, [process.execPath, ...programArgv(name), ...args], programEnvironment(name));
}
