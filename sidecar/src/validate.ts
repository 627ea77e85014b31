import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import { systemDataReader } from "@heddle/xds";
import { readConfig, sidecarBootstrap } from "./bootstrap.ts";
import { diagnosticsOf, sidecarResourceTypes } from "./check.ts";
import { OWN_SECRETS } from "./control/identity/own-identity.ts";
import type { SidecarFlags } from "./flags.ts";
import { identitySettings } from "./identity-settings.ts";

/** What `--mode validate` prints, and the exit code: 0, or 1 where something is wrong. */
export interface Validation {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** Reads the bootstrap as a start would, and starts nothing. Relative paths of filters are taken from `filterFolder`. */
export function validateConfig(
  flags: SidecarFlags,
  filterFolder: string,
  environment: { readonly [name: string]: string | undefined },
): Validation {
  const diagnostics = findings(flags, filterFolder, environment);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  const warnings = diagnostics.filter(({ severity }) => severity === "warning");
  const exitCode = errors.length === 0 ? 0 : 1;
  const name = flags.configPath ?? "--config-yaml";
  if (flags.json) {
    const outcome = { file: name, valid: errors.length === 0, errors, warnings };
    return { stdout: `${JSON.stringify(outcome, null, 2)}\n`, stderr: "", exitCode };
  }
  return {
    // Word for word what Envoy says: scripts look for it.
    stdout: errors.length === 0 ? `configuration '${name}' OK\n` : "",
    stderr: diagnostics.map((diagnostic) => `${diagnostic.severity}: ${formatDiagnostic(diagnostic)}\n`).join(""),
    exitCode,
  };
}

function findings(
  flags: SidecarFlags,
  filterFolder: string,
  environment: { readonly [name: string]: string | undefined },
): readonly Diagnostic[] {
  const types = sidecarResourceTypes(filterFolder, flags.disabledExtensions, systemDataReader(environment));
  const identity = identitySettings(flags.identity, environment, true);
  if (identity.ok && identity.value !== undefined) types.secret.setOwn(OWN_SECRETS);
  const reading = readConfig(flags, types);
  if (reading === undefined) return []; // the flags are asked for a bootstrap
  const start = reading.ok ? sidecarBootstrap(flags, undefined, types) : undefined;
  const file = flags.configPath ?? "--config-yaml";
  const missing = [...(identity.ok ? [] : identity.error), ...(start?.ok === false ? start.error : [])];
  return [
    ...missing.map((message) => ({ severity: "error", file, line: 0, column: 0, path: "", message }) as const),
    ...diagnosticsOf(reading),
  ];
}
