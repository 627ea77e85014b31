import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** How a program is run as somebody else: what stands before it on the command line. */
export type As = readonly [program: string, ...args: string[]];

/** By which rules of the kernel tell whose connection it is. */
export function asUid(uid: number): As {
  return ["setpriv", `--reuid=${uid}`, "--clear-groups"];
}

/** In the network namespace of that process. */
export function inNetworkOf({ pid = 0 }: ChildProcess): As {
  return ["nsenter", "--target", String(pid), "--net"];
}

/** The exit code, and what was printed. */
export async function runAs([first, ...as]: As, ...program: string[]): Promise<{ code: number; out: string }> {
  const child = spawn(first, [...as, ...program], { stdio: ["ignore", "pipe", "ignore"] });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  const [code] = (await once(child, "close")) as [number];
  return { code, out };
}

/** What curl gets: the body, after the status where that is not 200; or "closed". */
export async function askAs(as: As, url: string, headers: readonly string[] = []): Promise<string> {
  const args = ["-s", "--max-time", "30", "-w", "\n%{http_code}", ...headers.flatMap((header) => ["-H", header]), url];
  const { code, out } = await runAs(as, "curl", ...args);
  if (code === CURL_NOTHING_CAME || code === CURL_RECEIVE_FAILED) return "closed";
  assert.equal(code, 0, `curl ${url} ended with ${code}`);
  const [body = "", status = ""] = out.split("\n");
  return status === "200" ? body : `${status} ${body}`;
}

const CURL_NOTHING_CAME = 52;
const CURL_RECEIVE_FAILED = 56;

/** What a server says to a client that says nothing. */
export async function firstWordsAs(as: As, host: string, port: number): Promise<string> {
  return (await runAs(as, "socat", "-T30", "-u", `TCP:${host}:${port}`, "STDOUT")).out;
}
