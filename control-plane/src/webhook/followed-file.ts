import { type Clock, err, Live, ok, type Result, readSmallFile } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { StartError } from "../serve/address.ts";

/** What a file says, followed: what it says anew is taken within ten seconds, and what cannot be used changes nothing. */
export interface FollowedFile<T> {
  readonly current: Live<T>;
  close(): void;
}

const LOOK_MS = 10_000;
const MAX_BYTES = 1024 * 1024;

/**
 * Follows a file. It is looked at again and again, since what Kubernetes mounts is replaced by a link that no watch on the file
 * sees. `read` says what is wrong in words that may go into a log. Rejects with a `StartError` where it cannot be used at first.
 */
export function followFile<T>(
  path: string,
  what: string,
  read: (text: string) => Result<T, string>,
  clock: Clock,
  log: Log,
): FollowedFile<T> {
  const readNow = (): Result<{ readonly text: string; readonly value: T }, string> => {
    const bytes = readSmallFile(path, MAX_BYTES);
    if (!bytes.ok) return err(`${path}: ${bytes.error}`);
    const text = bytes.value.toString();
    const value = read(text);
    return value.ok ? ok({ text, value: value.value }) : err(`${path}: ${value.error}`);
  };
  const first = readNow();
  if (!first.ok) throw new StartError(`${what}: ${first.error}`);
  let { text } = first.value;
  let fault = "";
  const current = new Live(first.value.value);
  const look = (): void => {
    timer = clock.after(LOOK_MS, look, true);
    const next = readNow();
    if (!next.ok) {
      if (next.error !== fault) log.warn(`${what} cannot be read anew; what it said goes on`, { why: next.error });
      fault = next.error;
      return;
    }
    fault = "";
    if (next.value.text === text) return;
    text = next.value.text;
    current.publish(next.value.value);
    log.info(`${what} has been read anew`, { file: path });
  };
  let timer = clock.after(LOOK_MS, look, true);
  return { current, close: () => timer.cancel() };
}
