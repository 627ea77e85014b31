import type { Caller } from "./access.ts";
import { formatKey, type ResourceKey } from "./resource-key.ts";
import type { ApiDiagnostic, ApiError, ApiErrorCode, Conflict } from "./wire.ts";

/* What the resource API refuses with. */

/** Something in the store has another version than was expected. */
export function conflict(conflicts: readonly Conflict[]): ApiError {
  const lines = conflicts.map(
    ({ key, expected, found }) => `${formatKey(key)} ${whatWasFound(found)}, expected ${expected}`,
  );
  return { code: "ABORTED", message: lines.join("; "), conflicts };
}

function whatWasFound(version: number): string {
  return version === 0 ? "does not exist" : `has version ${version}`;
}

export function denied(caller: Caller, what: "read" | "write", key: ResourceKey): ApiError {
  return fault("PERMISSION_DENIED", `"${caller.name}" may not ${what} ${formatKey(key)}`);
}

/** What was sent, or the world that it would make, is wrong. */
export function invalid(diagnostics: readonly ApiDiagnostic[]): ApiError {
  const errors = diagnostics.filter(isError).length;
  return fault("INVALID_ARGUMENT", `nothing was stored: ${errors} ${errors === 1 ? "error" : "errors"}`, diagnostics);
}

export function unavailable(message: string): ApiError {
  return fault("UNAVAILABLE", message);
}

/** The store has no content yet; `trouble` says why, where it is known. */
export function unread(trouble: string | undefined): ApiError {
  return unavailable(trouble ?? "the store has not been read yet");
}

export function fault(code: ApiErrorCode, message: string, diagnostics?: readonly ApiDiagnostic[]): ApiError {
  return diagnostics === undefined ? { code, message } : { code, message, diagnostics };
}

export function isError({ severity }: { readonly severity: "error" | "warning" }): boolean {
  return severity === "error";
}
