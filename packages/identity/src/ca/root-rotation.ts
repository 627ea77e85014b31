import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";

/*
 *   steady ---begin---> publishing ---publishMs later---> retiring ---retireMs later---> steady
 *   active               active signs,                     active (once next) signs,      active
 *                        next is in the bundle, too        previous is in the bundle, too
 *
 * A root signs only after everybody has had time to hear of it, and leaves the bundle only after all that it has signed has
 * ended. A root is a name here (a fingerprint); whoever keeps the keys knows which is which. Immutable, and JSON as it is.
 */
export type RootRotation =
  | { readonly type: "steady"; readonly active: string }
  | { readonly type: "publishing"; readonly active: string; readonly next: string; readonly untilMs: number }
  | { readonly type: "retiring"; readonly active: string; readonly previous: string; readonly untilMs: number };

export interface RotationTimes {
  /** How long a new root is published before it signs: every node has to have fetched the bundle by then. */
  readonly publishMs: number;
  /** How long an old one stays behind: the longest that anything it has signed is valid, and some for clocks that differ. */
  readonly retireMs: number;
}

export function steady(active: string): RootRotation {
  return { type: "steady", active };
}

/** Which one signs now. */
export function signingRoot({ active }: RootRotation): string {
  return active;
}

/** Those whose certificates belong in the trust bundle, the one that signs first. */
export function publishedRoots(rotation: RootRotation): readonly string[] {
  switch (rotation.type) {
    case "steady":
      return [rotation.active];
    case "publishing":
      return [rotation.active, rotation.next];
    case "retiring":
      return [rotation.active, rotation.previous];
    default:
      throw new Error(`unknown state ${String(rotation satisfies never)}`);
  }
}

/** When `advanceRotation` next does something, wall time; undefined: nothing is under way. */
export function nextRotationStepMs(rotation: RootRotation): number | undefined {
  return rotation.type === "steady" ? undefined : rotation.untilMs;
}

/** Publishes a new root. One rotation at a time: a third root in the bundle would have no place to go. */
export function beginRotation(
  rotation: RootRotation,
  next: string,
  nowMs: number,
  { publishMs }: RotationTimes,
): Result<RootRotation, string> {
  if (rotation.type !== "steady")
    return err(`a rotation is under way, its next step is at ${new Date(rotation.untilMs).toISOString()}`);
  if (next === rotation.active) return err("the new root is the one that signs already");
  return ok({ type: "publishing", active: rotation.active, next, untilMs: nowMs + publishMs });
}

/** The state at that time; the same object where nothing is due. Time that was slept through is not made up in one step:
 * an old root stays as long after the new one has begun to sign, whenever that was. */
export function advanceRotation(rotation: RootRotation, nowMs: number, { retireMs }: RotationTimes): RootRotation {
  switch (rotation.type) {
    case "steady":
      return rotation;
    case "publishing":
      if (nowMs < rotation.untilMs) return rotation;
      return { type: "retiring", active: rotation.next, previous: rotation.active, untilMs: nowMs + retireMs };
    case "retiring":
      return nowMs < rotation.untilMs ? rotation : steady(rotation.active);
    default:
      throw new Error(`unknown state ${String(rotation satisfies never)}`);
  }
}

/** Reads back what was written as JSON. */
export function readRotation(json: Json): Result<RootRotation, string> {
  if (!isJsonObject(json)) return err("is no object");
  const name = (key: string): string => (typeof json[key] === "string" ? json[key] : "");
  const untilMs = json["untilMs"];
  const active = name("active");
  const isTime = typeof untilMs === "number" && Number.isFinite(untilMs);
  const next = name("next");
  const previous = name("previous");
  if (active === "") return err("active: is no root");
  switch (json["type"]) {
    case "steady":
      return ok(steady(active));
    case "publishing":
      return next !== "" && isTime
        ? ok({ type: "publishing", active, next, untilMs })
        : err("has no next root, or no time");
    case "retiring":
      return previous !== "" && isTime
        ? ok({ type: "retiring", active, previous, untilMs })
        : err("has no previous root, or no time");
    default:
      return err("type: is none of steady, publishing, retiring");
  }
}

export function rotationJson(rotation: RootRotation): JsonObject {
  return { ...rotation };
}
