import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TestAuthority } from "@heddle/identity/testing";
import { cpuMs } from "../control-plane/process-cost.ts";
import { round } from "../path/measure.ts";
import { reviews } from "./reviews.ts";

const BUILT = join(import.meta.dirname, "../../control-plane/dist/injector-main.js");
const SOURCE = join(import.meta.dirname, "../../control-plane/src/injector-main.ts");
const GOAL_MS = 50;
const CONCURRENCIES = [1, 16] as const;
/** What is compiled while it runs is no part of what is measured. */
const WARM_UP = 300;

/** How long the admission webhooks take over TLS connections that are kept, as an API server keeps them: bench/README.md. */
export async function webhookBench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { entry: { type: "string" }, requests: { type: "string", default: "2000" } },
  });
  const authority = new TestAuthority("Bench");
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  const entry = values.entry ?? (existsSync(BUILT) ? BUILT : SOURCE);
  let injector: Injector | undefined;
  try {
    injector = await startInjector(entry, folder, authority);
    const rows: Record<string, Record<string, number>> = {};
    for (const { what, path, body } of reviews())
      for (const concurrency of CONCURRENCIES) {
        const agent = new Agent({ keepAlive: true, maxSockets: concurrency, ca: authority.certificate });
        const one = { port: injector.port, path, body, concurrency, agent };
        await load({ ...one, requests: WARM_UP });
        const before = cpuMs(injector.pid);
        const times = await load({ ...one, requests: Number(values.requests) });
        agent.destroy();
        const cpu = (cpuMs(injector.pid) - before) / times.length;
        rows[`${what}, ${concurrency} at a time`] = {
          KiB: round(body.length / 1024, 1),
          "p50 ms": round(quantile(times, 0.5), 2),
          "p99 ms": round(quantile(times, 0.99), 2),
          "worst ms": round(times.at(-1) ?? 0, 2),
          "CPU ms": round(cpu, 2),
        };
      }
    console.log(`\nReviews over TLS, ${entry}; at most ${GOAL_MS} ms at p99 is to be reached`);
    console.table(rows);
  } finally {
    injector?.child.kill();
    rmSync(folder, { recursive: true });
  }
}

interface Injector {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
}

async function startInjector(entry: string, folder: string, authority: TestAuthority): Promise<Injector> {
  const { chain, key } = authority.issue({ ips: ["127.0.0.1"], usage: "server" });
  const [certificate, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  writeFileSync(certificate, chain);
  writeFileSync(keyFile, key);
  const flags = ["--tls-cert", certificate, "--tls-key", keyFile, "--webhook-address", "127.0.0.1:0"];
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      ...(entry.endsWith(".ts") ? ["--conditions=heddle-src"] : []),
      entry,
      ...flags,
      "--admin-address",
      "127.0.0.1:0",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.setEncoding("utf8");
  for await (const text of child.stderr) {
    log += text as string;
    const port = /webhooks=https:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1];
    if (port === undefined) continue;
    child.stderr.resume();
    return { child, pid: child.pid ?? 0, port: Number(port) };
  }
  throw new Error(`the injector ended:\n${log}`);
}

interface Load {
  readonly port: number;
  readonly path: string;
  readonly body: string;
  readonly concurrency: number;
  readonly requests: number;
  readonly agent: Agent;
}

/** Milliseconds of each review, the fastest first. */
async function load({ port, path, body, concurrency, requests, agent }: Load): Promise<number[]> {
  const times: number[] = [];
  let left = requests;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const startMs = performance.now();
      await review(port, path, body, agent);
      times.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return times.sort((a, b) => a - b);
}

async function review(port: number, path: string, body: string, agent: Agent): Promise<void> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const asked = request({ host: "127.0.0.1", port, path, method: "POST", headers, agent });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [NodeJS.ReadableStream & { statusCode?: number }];
  let text = "";
  for await (const chunk of response) text += chunk.toString();
  if (response.statusCode !== 200 || !text.includes('"allowed":true'))
    throw new Error(`answered ${text.slice(0, 300)}`);
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
