import { spawnSync } from "node:child_process";

/** How a tool ended. */
export interface ToolResult {
  readonly status: "ok" | "failed" | "missing";
  readonly stdout: string;
  /** What it printed, or why it did not start. */
  readonly message: string;
}

/** Runs tools in one network namespace. */
export interface Toolbox {
  run(tool: string, args: readonly string[], input?: string): ToolResult;
}

/** A tool waits for nothing but the kernel; iptables-legacy for its lock. */
const TIMEOUT_MS = 30_000;

/** A container runtime may have no PATH for its plugins, and a user's one often lacks the tools of administrators. */
const SEARCHED = [process.env["PATH"] ?? "", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"]
  .filter((part) => part !== "")
  .join(":");

/** `netns`: a file of a namespace (`/var/run/netns/NAME`, `/proc/PID/ns/net`), entered by nsenter. Undefined: that of this process. */
export function toolbox(netns: string | undefined): Toolbox {
  return {
    run(tool, args, input = "") {
      const command = netns === undefined ? tool : "nsenter";
      const words = netns === undefined ? args : [`--net=${netns}`, "--", tool, ...args];
      const { error, status, stdout, stderr, signal } = spawnSync(command, words, {
        input,
        encoding: "utf8",
        timeout: TIMEOUT_MS,
        env: { ...process.env, PATH: SEARCHED, LC_ALL: "C" },
      });
      if (error !== undefined) {
        const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
        return {
          status: isMissing ? "missing" : "failed",
          stdout: "",
          message: isMissing ? `${command} is not installed` : error.message,
        };
      }
      if (status === 0) return { status: "ok", stdout, message: "" };
      const printed =
        stderr.trim() || stdout.trim() || (signal === null ? `ended with ${status}` : `ended by ${signal}`);
      // nsenter itself says so when the file behind it is not there.
      const isMissing = status === 127 || printed.startsWith("nsenter: failed to execute");
      return {
        status: isMissing ? "missing" : "failed",
        stdout,
        message: isMissing ? `${tool} is not installed` : printed,
      };
    },
  };
}

/** A tool has failed, and rules are not as they were asked for. */
export class CaptureFailure extends Error {
  override readonly name = "CaptureFailure";
}

/** Says which tool failed, what it printed, and what permission is missing where it is one. */
export function failureOf(tool: string, { message }: ToolResult): CaptureFailure {
  const isForbidden = /not permitted|you must be root|Permission denied/i.test(message);
  const hint = isForbidden
    ? "\nRules need the capability NET_ADMIN (iptables-legacy NET_RAW too) as user 0 in the pod's network namespace: add it to this container's " +
      "securityContext.capabilities, or let heddle cni set the rules from the node."
    : "";
  return new CaptureFailure(`${tool}: ${message}${hint}`);
}
