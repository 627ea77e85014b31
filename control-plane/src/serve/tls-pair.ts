import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Clock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";

/** PEM files of a server's certificate. */
export interface PairFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** PEM. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

const LOOK_MS = 10_000;

/**
 * Has a renewed certificate taken without a restart; one that is wrong changes nothing. `what`: whose it is, for the log.
 */
export function followPair(
  files: PairFiles,
  first: TlsFiles,
  renew: (pair: TlsFiles) => void,
  what: string,
  clock: Clock,
  log: Log,
): { close(): void } {
  let current = first;
  let timer = clock.after(LOOK_MS, () => void look(), true);
  let isClosed = false;
  const look = async (): Promise<void> => {
    const pair = await readPair(files);
    if (isClosed) return;
    timer = clock.after(LOOK_MS, () => void look(), true);
    if (typeof pair === "string") {
      log.debug(`${what} certificate stays as it was`, { why: pair });
      return;
    }
    if (pair.certificate === current.certificate && pair.key === current.key) return;
    current = pair;
    renew(pair);
    log.info(`${what} certificate has been read anew`, { file: files.certificateFile });
  };
  return {
    close: () => {
      isClosed = true;
      timer.cancel();
    },
  };
}

/** Both files, if they can be used together; else why not, in words that hold nothing of a key. */
export async function readPair({ certificateFile, keyFile }: PairFiles): Promise<TlsFiles | string> {
  let reading = certificateFile;
  try {
    const certificate = await readFile(certificateFile, "utf8");
    reading = keyFile;
    const key = await readFile(keyFile, "utf8");
    reading = `${certificateFile} with ${keyFile}`;
    createSecureContext({ cert: certificate, key });
    return { certificate, key };
  } catch (error) {
    return `${reading} cannot be used: ${(error as NodeJS.ErrnoException).code ?? "it is no PEM that fits"}`;
  }
}
