/** `npm run bench -- NAME [OPTIONS]`: measures, prints, and asserts nothing. */
import { controlPlaneBench } from "./control-plane/control-plane-bench.ts";
import { kubernetesBench } from "./kubernetes/kubernetes-bench.ts";
import { pathBench } from "./path/path-bench.ts";
import { stallBench } from "./stall/stall-bench.ts";
import { webhookBench } from "./webhook/webhook-bench.ts";

const BENCHES: Readonly<
  Record<string, { readonly about: string; readonly run: (args: readonly string[]) => Promise<void> }>
> = {
  path: {
    about: "CPU per request, requests/s, latency and memory of the built sidecar beside other proxies: bench/README.md",
    run: pathBench,
  },
  "control-plane": {
    about: "memory for each stream, time and CPU of changes and of reconnects, with N simulated sidecars",
    run: controlPlaneBench,
  },
  kubernetes: {
    about: "a control plane that follows a cluster: time to the first snapshot, memory, one endpoint's change",
    run: kubernetesBench,
  },
  stall: {
    about: "the longest turn of a traffic worker's event loop while 10,000 endpoints arrive",
    run: stallBench,
  },
  webhook: {
    about: "how long reviews of the admission webhooks take over TLS, one and 16 at a time",
    run: webhookBench,
  },
};

const [name, ...args] = process.argv.slice(2);
const bench = name === undefined ? undefined : BENCHES[name];
if (bench === undefined) {
  console.error(
    `usage: npm run bench -- NAME\n${Object.entries(BENCHES)
      .map(([key, { about }]) => `  ${key}  ${about}`)
      .join("\n")}`,
  );
  process.exitCode = 2;
} else {
  await bench.run(args);
}
