import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./imports.ts";

export interface Instruction {
  /** "COPY" */
  readonly name: string;
  /** Without continuations: one line. */
  readonly words: string;
}

export interface Stage {
  readonly image: string;
  /** "" where it has none. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

/** The stages of the image's Dockerfile (https://docs.docker.com/reference/dockerfile/), of which it uses no more than is read here. */
export function imageStages(): readonly Stage[] {
  const text = readFileSync(join(projectRoot, "deploy/docker/Dockerfile"), "utf8");
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll(/\s*\\\n\s*/g, " ")
    .split("\n")
    .filter((line) => line !== "");
  const stages: { image: string; name: string; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, name = "", words = ""] = /^(FROM|WORKDIR|COPY|RUN|ENV|USER|ENTRYPOINT) (.+)$/.exec(line) ?? [];
    if (name === "") throw new Error(`Dockerfile: found "${line}", which is not read`);
    const [, image = "", , stage = ""] = /^(\S+)( AS (\S+))?$/.exec(words) ?? [];
    if (name === "FROM") stages.push({ image, name: stage, instructions: [] });
    else stages.at(-1)!.instructions.push({ name, words });
  }
  return stages;
}
