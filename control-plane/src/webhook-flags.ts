import { isIP } from "node:net";
import type { HostPort } from "./serve/address.ts";
import { parseHostPort } from "./serve/address.ts";

/* The part of a command line that is about the admission webhooks: of `heddle injector`, and of a control plane that serves them. */

/** Webhooks, as a command line asks for them. */
export interface WebhookFlags {
  readonly address: HostPort;
  readonly clientCaFile: string | undefined;
  readonly clientNames: readonly string[];
  /** Undefined: the defaults. */
  readonly settingsFile: string | undefined;
  /** Undefined: that of the settings. */
  readonly revision: string | undefined;
  /** DNS names and addresses of the serving certificate besides the Service's. */
  readonly tlsNames: readonly string[];
}

export const WEBHOOK_OPTIONS = {
  "webhook-address": { type: "string" },
  "webhook-san": { type: "string", multiple: true },
  "webhook-client-ca": { type: "string" },
  "webhook-client-name": { type: "string", multiple: true },
  "injection-settings": { type: "string" },
  revision: { type: "string" },
} as const;

export const WEBHOOK_HELP = `  --webhook-client-ca FILE   reviews are answered to API servers alone that show a certificate of these authorities (PEM,
                             followed); by default to whoever reaches the port
  --webhook-client-name NAME of those certificates: the common name or a DNS name; may be given more than once
  --injection-settings FILE  how pods are injected (YAML, followed); as for heddle inject
  --revision NAME            which revision this is: pods and namespaces with heddle.dev/rev: NAME are its (default)`;

type Values = { readonly [name in keyof typeof WEBHOOK_OPTIONS]?: string | readonly string[] | undefined };

const REVISION = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const NOWHERE: HostPort = { host: "", port: 0 };

/** @param byDefault where they listen if it is not said; undefined: nowhere, and then the other flags are faults. */
export function readWebhookFlags(
  values: Values,
  byDefault: string | undefined,
  faults: string[],
): WebhookFlags | undefined {
  const text = (name: keyof typeof WEBHOOK_OPTIONS): string | undefined => values[name] as string | undefined; // one each
  const texts = (name: keyof typeof WEBHOOK_OPTIONS): readonly string[] => (values[name] ?? []) as readonly string[]; // many
  const where = text("webhook-address") ?? byDefault;
  if (where === undefined) {
    for (const name of Object.keys(WEBHOOK_OPTIONS) as (keyof typeof WEBHOOK_OPTIONS)[])
      if (values[name] !== undefined && name !== "revision") faults.push(`--${name}: needs --webhook-address`);
    return undefined;
  }
  const address = parseHostPort(where);
  if (!address.ok) faults.push(`--webhook-address: ${address.error}`);
  const revision = text("revision");
  if (revision !== undefined && !REVISION.test(revision))
    faults.push(`--revision: found "${revision.slice(0, 80)}", allowed: lower-case letters, digits and -, at most 63`);
  const tlsNames = texts("webhook-san");
  for (const name of tlsNames)
    if (isIP(name) === 0 && !DNS_NAME.test(name))
      faults.push(`--webhook-san: found "${name.slice(0, 80)}", allowed: a DNS name or an IP address`);
  const clientNames = texts("webhook-client-name");
  const clientCaFile = text("webhook-client-ca");
  if (clientNames.length > 0 && clientCaFile === undefined)
    faults.push("--webhook-client-name: needs --webhook-client-ca");
  return {
    address: address.ok ? address.value : NOWHERE,
    clientCaFile,
    clientNames,
    settingsFile: text("injection-settings"),
    revision,
    tlsNames: tlsNames.map((name) => name.toLowerCase()),
  };
}
