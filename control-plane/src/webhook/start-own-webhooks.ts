import { isIP } from "node:net";
import type { MeshAuthority } from "../ca/mesh-authority.ts";
import type { ServerNames } from "../ca/signer.ts";
import type { WebhookFlags } from "../webhook-flags.ts";
import { openSettings } from "./open-settings.ts";
import { certificateOfAuthority } from "./serving-certificate.ts";
import { type ClosableCluster, startWebhooks, type Webhooks, type WebhooksOptions } from "./start-webhooks.ts";

export interface OwnWebhooksOptions
  extends WebhookFlags,
    Pick<WebhooksOptions, "judgeObject" | "clock" | "log" | "metrics"> {
  /** Opens the cluster for a revision. Left out: without Kubernetes. */
  readonly openCluster?: ((revision: string) => ClosableCluster) | undefined;
  /** Of the mesh, in this process. */
  readonly authority: MeshAuthority;
}

/** The webhooks of a control plane, with a certificate of its own authority. Rejects with a `StartError`, with nothing left behind. */
export async function startOwnWebhooks(options: OwnWebhooksOptions): Promise<Webhooks> {
  const { authority, settingsFile, revision, tlsNames, clock, log } = options;
  const settings = openSettings(settingsFile, { trustDomain: authority.trustDomain }, revision, clock, log);
  const names = serverNames(settings.current.current, tlsNames);
  const certificate = await certificateOfAuthority(authority, names, options);
  const cluster = options.openCluster?.(settings.current.current.revision);
  const closeAll = async (): Promise<void> => {
    settings.close();
    await cluster?.close();
    await certificate.close();
  };
  try {
    const webhooks = await startWebhooks({ ...options, settings: settings.current, certificate, cluster });
    return {
      ...webhooks,
      close: async () => {
        await webhooks.close();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** What API servers call them: by the Service in front of this control plane's revision. */
function serverNames(
  { controlPlane, namespace }: { readonly controlPlane: string; readonly namespace: string },
  more: readonly string[],
): ServerNames {
  const host = controlPlane.slice(0, controlPlane.lastIndexOf(":"));
  const service = host.endsWith(`.${namespace}.svc`) ? host : `heddle-control-plane.${namespace}.svc`;
  const dnsNames = [service, `${service}.cluster.local`, ...more.filter((name) => isIP(name) === 0)];
  return { dnsNames: [...new Set(dnsNames)], ipAddresses: more.filter((name) => isIP(name) > 0) };
}
