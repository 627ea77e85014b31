import { hostname } from "node:os";
import { adminUrl } from "./admin/serve-admin.ts";
import { startControlPlane } from "./control-plane.ts";
import { type Flags, HELP, parseFlags } from "./flags.ts";
import { type OnStop, type ProgramParts, runProgram } from "./program.ts";
import { formatHostPort } from "./serve/address.ts";
import { openStore } from "./store/open-store.ts";
import type { Store } from "./store/store.ts";

/* The control plane's program: flags in, exit code out. */

await runProgram({ name: "control-plane", help: HELP, reading: parseFlags(process.argv.slice(2)), serve });

async function serve(flags: Flags, parts: ProgramParts, onStop: OnStop): Promise<void> {
  const { clock, log } = parts;
  const stopped = Promise.withResolvers<string>();
  onStop(stopped.resolve);
  let store: Store | undefined;
  try {
    store = await openStore({ ...flags, place: flags.storePlace, environment: process.env, clock, log });
    const controlPlane = await startControlPlane({
      ...flags,
      ...(store === undefined ? {} : { store }),
      kubernetes: flags.kubernetes && { ...flags.kubernetes, environment: process.env },
      identifier: flags.identifier ?? hostname(),
      hostName: hostname(),
      ...parts,
    });
    log.info("control plane is up", {
      xds: formatHostPort(controlPlane.xdsAddress),
      ...(controlPlane.xdsRestAddress !== undefined && { xdsRest: formatHostPort(controlPlane.xdsRestAddress) }),
      ...(controlPlane.xdsTlsAddress !== undefined && {
        xdsTls: formatHostPort(controlPlane.xdsTlsAddress),
        trustDomain: flags.ca?.trustDomain,
      }),
      admin: `${adminUrl(controlPlane.adminAddress)}/status`,
      config: flags.folders,
      ...(flags.kubernetes !== undefined && { kubernetes: flags.kubernetes.kubeconfig?.file ?? "in-cluster" }),
      store: store?.name ?? "none",
      ...(controlPlane.webhookAddress && { webhooks: `https://${formatHostPort(controlPlane.webhookAddress)}` }),
      ...(controlPlane.apiAddress && { api: formatHostPort(controlPlane.apiAddress) }),
    });
    const reason = await stopped.promise;
    log.info("control plane stops", { reason });
    await controlPlane.stop();
  } finally {
    await store?.close();
  }
}
