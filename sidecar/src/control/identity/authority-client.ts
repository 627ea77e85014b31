import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { err, type Result } from "@heddle/base";
import type { TrustBundle } from "@heddle/identity";
import type { XdsChannel } from "@heddle/xds/client";
import {
  decodeIssueResponse,
  decodeTrustBundles,
  encodeIssueRequest,
  encodeWatchRequest,
  ISSUE_PATH,
  type Issued,
  WATCH_BUNDLES_PATH,
} from "./authority-wire.ts";
import type { OwnSvid } from "./own-identity.ts";

/** How a sidecar proves to the authority who it is. */
export type CallerProof =
  | { readonly type: "svid"; readonly svid: OwnSvid }
  | { readonly type: "token"; readonly token: string };

/** Why nothing was issued. */
export interface IssueFailure {
  /** Shows nothing of a token. */
  readonly reason: string;
  /** The authority has heard the proof and does not take it: the same one again would be of no use. */
  readonly isRefused: boolean;
}

const REFUSALS: ReadonlySet<status> = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
]);

/** From the first byte to the answer, connecting included. */
const DEADLINE_MS = 15_000;

/**
 * Asks the authority to sign a key, on a connection of its own. `dial` makes it, with the certificate of the proof if that is
 * one.
 */
export function issueCertificate(
  dial: () => XdsChannel,
  csr: Uint8Array,
  proof: CallerProof,
  wallNowMs: number,
): Promise<Result<Issued, IssueFailure>> {
  const metadata = new Metadata();
  if (proof.type === "token") metadata.set("authorization", `Bearer ${proof.token}`);
  let channel: XdsChannel;
  try {
    channel = dial();
  } catch (error) {
    const reason = `it cannot be dialled: ${error instanceof Error ? error.message : String(error)}`;
    return Promise.resolve(err({ reason, isRefused: false }));
  }
  return new Promise((resolve) => {
    const options = { deadline: wallNowMs + DEADLINE_MS };
    channel.makeUnaryRequest(ISSUE_PATH, asIs, asIs, encodeIssueRequest(csr), metadata, options, (error, answer) => {
      channel.close();
      if (error !== null) resolve(err({ reason: describe(error), isRefused: REFUSALS.has(error.code) }));
      else if (answer === undefined) resolve(err({ reason: "the authority gave no answer", isRefused: false }));
      else {
        const issued = decodeIssueResponse(answer);
        resolve(issued.ok ? issued : err({ reason: issued.error, isRefused: false }));
      }
    });
  });
}

/** A watch on the trust bundles. */
export interface BundleWatch {
  close(): void;
}

/** Tells of the bundles now and after each change, until it ends: `onEnd` says why, once, unless it was closed. */
export function watchTrustBundles(
  channel: Pick<XdsChannel, "makeServerStreamRequest">,
  on: {
    readonly onBundles: (bundles: Result<readonly TrustBundle[], string>) => void;
    readonly onEnd: (reason: string) => void;
  },
): BundleWatch {
  let closed = false;
  const stream = channel.makeServerStreamRequest<Buffer, Buffer>(WATCH_BUNDLES_PATH, asIs, asIs, encodeWatchRequest());
  stream.on("error", () => undefined); // each end comes as a status too
  stream.on("data", (bytes: Buffer) => {
    if (!closed) on.onBundles(decodeTrustBundles(bytes));
  });
  stream.on("status", ({ code, details }) => {
    if (closed) return;
    closed = true;
    on.onEnd(describe({ code, details }));
  });
  return {
    close() {
      closed = true;
      stream.cancel();
    },
  };
}

function describe({ code, details }: Pick<ServiceError, "code" | "details">): string {
  return `${details === "" ? "no reason is given" : details} (${status[code] ?? code})`;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
