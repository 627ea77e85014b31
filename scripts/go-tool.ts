import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";

/** A program that a Go module under test/ requires, built once into a cache outside of the tree. */
export interface GoTool {
  /** Below test/, with its go.mod. */
  readonly folder: string;
  /** Whose version the program has: `helm.sh/helm/v3`. */
  readonly module: string;
  /** The package with its `main`. */
  readonly main: string;
  /** Variables that its linker is to set, by the program's version. */
  readonly variables?: (version: string) => Readonly<Record<string, string>>;
}

const BUILD_TIMEOUT_MS = 90 * 60_000;

/** Where the program is, whether it is there or not. */
export function goToolProgram(tool: GoTool): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(cache, "heddle", `${tool.folder}-${versionOf(tool)}`, basename(tool.main));
}

/** Builds it with Go unless it is there. Throws where that fails. */
export function buildGoTool(tool: GoTool): void {
  const target = goToolProgram(tool);
  if (existsSync(target)) {
    console.log(`${target} is there already`);
    return;
  }
  mkdirSync(dirname(target), { recursive: true });
  const version = versionOf(tool);
  const stamps = Object.entries(tool.variables?.(version) ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const flags = ["-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", `-s -w ${stamps.join(" ")}`];
  console.log(`building ${tool.main} ${version}: this takes long`);
  const began = performance.now();
  const { status, error } = spawnSync("go", ["build", ...flags, "-o", `${target}.new`, tool.main], {
    cwd: moduleFolder(tool),
    stdio: "inherit",
    timeout: BUILD_TIMEOUT_MS,
    env: { ...process.env, CGO_ENABLED: "0" },
  });
  if (status !== 0) throw new Error(`go build of ${tool.main} ended with ${error?.message ?? status ?? "no answer"}`);
  renameSync(`${target}.new`, target);
  console.log(`${target}, in ${Math.round((performance.now() - began) / 1000)} s`);
}

function moduleFolder({ folder }: GoTool): string {
  return join(dirname(import.meta.dirname), "test", folder);
}

function versionOf(tool: GoTool): string {
  const name = tool.module.replaceAll(".", "\\.");
  return new RegExp(`${name} (v[\\d.]+)`).exec(readFileSync(join(moduleFolder(tool), "go.mod"), "utf8"))?.[1] ?? "";
}
