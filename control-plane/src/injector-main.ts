import { hostname } from "node:os";
import type { Clock } from "@heddle/base";
import { type InjectorOptions, startInjector } from "./injector.ts";
import { INJECTOR_HELP, type InjectorFlags, parseInjectorFlags } from "./injector-flags.ts";
import { SYSTEM_NAMESPACE } from "./kubernetes/kubernetes-options.ts";
import { type OnStop, type ProgramParts, runProgram } from "./program.ts";
import { formatHostPort } from "./serve/address.ts";

/* The injector's program: flags in, exit code out. */

/** Between being told to stop and no longer listening: by then Kubernetes sends nobody here any more. */
const DRAIN_MS = 3000;

await runProgram({
  name: "injector",
  help: INJECTOR_HELP,
  reading: parseInjectorFlags(process.argv.slice(2)),
  serve,
});

async function serve(flags: InjectorFlags, parts: ProgramParts, onStop: OnStop): Promise<void> {
  const { clock, log } = parts;
  const stopped = Promise.withResolvers<string>();
  const again = Promise.withResolvers<void>();
  let isStopping = false;
  onStop((reason) => {
    if (isStopping) again.resolve();
    isStopping = true;
    stopped.resolve(reason);
  });
  const injector = await startInjector({
    ...flags,
    kubernetes: await accessOf(flags, clock),
    identifier: hostname(),
    ...parts,
  });
  log.info("injector is up", {
    webhooks: `https://${formatHostPort(injector.webhookAddress)}`,
    metrics: `http://${formatHostPort(injector.adminAddress)}/metrics`,
  });
  const reason = await stopped.promise;
  log.info("injector stops", { reason });
  injector.drain();
  clock.after(flags.exitWithParent ? 0 : DRAIN_MS, again.resolve);
  await again.promise;
  await injector.stop();
}

/** Loaded where there is a cluster. Rejects with a `StartError` where nobody says how to get to it. */
async function accessOf({ kubernetes }: InjectorFlags, clock: Clock): Promise<InjectorOptions["kubernetes"]> {
  if (kubernetes === undefined) return undefined;
  if (kubernetes.type === "in-cluster") {
    const { inClusterAccess } = await import("./kubernetes/in-cluster.ts");
    const access = await inClusterAccess({ environment: process.env, clock });
    return { access, namespace: access.namespace };
  }
  const { kubeconfigAccess } = await import("./kubernetes/kubeconfig.ts");
  return { access: await kubeconfigAccess({ ...kubernetes, clock }), namespace: SYSTEM_NAMESPACE };
}
