import { isJsonObject } from "@heddle/base";

/** The API server did not do what it was asked. */
export class KubeError extends Error {
  override name = "KubeError";
  /** Of the answer; 0: there was none. */
  readonly status: number;
  /** Kubernetes' own word for it: "Expired", "Conflict", "AlreadyExists", "TooManyRequests"; "" where it has none. */
  readonly reason: string;
  /** What it asked us to wait before we come again. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }

  /** The version of a list or a watch is older than what the API server still knows. */
  get isExpired(): boolean {
    return this.status === 410 || this.reason === "Expired" || this.reason === "Gone";
  }

  /** The API server knows no version so new. */
  get isOfFuture(): boolean {
    return this.status === 504 && this.message.includes("Too large resource version");
  }
}

/** Of a `Status` (meta/v1), as it comes as an answer or in a watch. What it says is cut: it goes into logs. */
export function kubeErrorOf(status: number, json: unknown, retryAfter?: string): KubeError {
  const said = isJsonObject(json) && json["kind"] === "Status" ? json : {};
  const { reason, message, code, details } = said;
  const number = typeof code === "number" ? code : status;
  const detailSeconds = isJsonObject(details) ? details["retryAfterSeconds"] : undefined;
  const seconds = Number(retryAfter ?? detailSeconds);
  const text = typeof message === "string" && message !== "" ? message.slice(0, 300) : `status ${number}`;
  const waitMs = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, MAX_RETRY_AFTER_S) * 1000 : undefined;
  return new KubeError(number, typeof reason === "string" ? reason : "", text, waitMs);
}

const MAX_RETRY_AFTER_S = 60;

/** What a person is told of any failure of a request: nothing of what was sent. */
export function reasonOf(error: unknown): string {
  if (error instanceof KubeError) return error.status === 0 ? error.message : `${error.message} (${error.status})`;
  const { code, name, cause } = error as NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException };
  return code ?? cause?.code ?? name ?? "unknown";
}
