import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestAuthority } from "@heddle/identity/testing";
import { eventually } from "./eventually.ts";
import { projectRoot } from "./imports.ts";
import type { Owner } from "./owner.ts";
import { scratchFolder } from "./sidecar.ts";

/** The injector's program, begun with these flags; it ends with its owner. */
export function runInjector(owner: Owner, flags: readonly string[]): RunningInjector {
  const program = ["--conditions=heddle-src", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...program, "control-plane/src/injector-main.ts", ...flags], {
    cwd: projectRoot,
    stdio: ["pipe", "ignore", "pipe"],
  });
  owner.after(() => child.kill("SIGKILL"));
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  return { child, output: () => text };
}

export interface RunningInjector {
  readonly child: ChildProcess;
  /** All that it has logged. */
  readonly output: () => string;
}

/** An injector that serves with a certificate for 127.0.0.1 of an authority of its own. `caFile`: PEM of that. */
export async function startInjector(
  owner: Owner,
  { settings = "", flags = [] }: { readonly settings?: string; readonly flags?: readonly string[] } = {},
): Promise<RunningInjector & { readonly port: number; readonly authority: string; readonly caFile: string }> {
  const folder = scratchFolder(owner);
  const authority = new TestAuthority("Webhooks");
  const { chain, key } = authority.issue({ ips: ["127.0.0.1"], usage: "server" });
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const caFile = file("ca.crt", authority.certificate);
  const certificate = ["--tls-cert", file("tls.crt", chain), "--tls-key", file("tls.key", key), "--tls-ca", caFile];
  const addresses = ["--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];
  const own = ["--injection-settings", file("settings.yaml", settings), "--exit-with-parent"];
  const injector = runInjector(owner, [...certificate, ...addresses, ...own, ...flags]);
  await eventually(
    "the injector is up",
    () => {
      if (injector.child.exitCode !== null) throw new Error(`the injector ended:\n${injector.output()}`);
      return /injector is up/.test(injector.output());
    },
    60_000,
  );
  const port = Number(/webhooks=https:\/\/127\.0\.0\.1:(\d+)/.exec(injector.output())?.[1]);
  return { ...injector, port, authority: authority.certificate, caFile };
}
