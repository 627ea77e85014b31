import { readFile, stat } from "node:fs/promises";
import { type Clock, err, type Json, Live, ok, type Result, type Timer } from "@heddle/base";
import { Authority } from "@heddle/identity/ca";
import type { Log } from "@heddle/telemetry";
import { StartError } from "../serve/address.ts";
import type { AuthoritySource, AuthorityState } from "./authority-source.ts";

/** PEM files of an operator's own authority. */
export interface AuthorityFileNames {
  /** What signs, and behind it what leads to a root. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** The roots, where they are not in `certificateFile`. */
  readonly rootFile: string | undefined;
}

export interface FileAuthorityOptions {
  readonly trustDomain: string;
  readonly files: AuthorityFileNames;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_MS = 10_000;

/**
 * An authority from files, which are followed: a renewed intermediate is taken without a restart. Files that cannot be used
 * change nothing, and the log says what is wrong with them, once.
 */
export class FileAuthority implements AuthoritySource {
  readonly current: Live<AuthorityState | undefined>;
  readonly #options: FileAuthorityOptions;
  #texts: FileTexts;
  #fault = "";
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(options: FileAuthorityOptions, texts: FileTexts, state: AuthorityState) {
    this.#options = options;
    this.#texts = texts;
    this.current = new Live<AuthorityState | undefined>(state);
    this.#lookLater();
  }

  /** Rejects with a `StartError` where the files cannot be used. */
  static async open(options: FileAuthorityOptions): Promise<FileAuthority> {
    const texts = await readTexts(options.files);
    const state = texts.ok ? stateOf(texts.value, options) : texts;
    if (texts.ok && state.ok) return new FileAuthority(options, texts.value, state.value);
    throw new StartError(`certificate authority: ${state.ok ? "" : state.error}`);
  }

  status(): Json {
    const { certificateFile, rootFile } = this.#options.files;
    const state = this.current.current;
    const certificate = state?.authority.certificate;
    return {
      kind: "files",
      certificateFile,
      ...(rootFile !== undefined && { rootFile }),
      ...(this.#fault !== "" && { error: this.#fault }),
      sequenceNumber: state?.sequenceNumber ?? 0,
      signs: certificate === undefined ? null : certificate.subject,
      notAfter: certificate === undefined ? null : new Date(certificate.validToMs).toISOString(),
      roots: state?.roots.length ?? 0,
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Looks at the files now. */
  async look(): Promise<void> {
    const { files, log } = this.#options;
    const texts = await readTexts(files);
    if (this.#isClosed) return;
    if (texts.ok && texts.value.everything === this.#texts.everything) return this.#tellFault("");
    const state = texts.ok ? stateOf(texts.value, this.#options) : texts;
    if (!texts.ok || !state.ok) return this.#tellFault(state.ok ? "" : state.error);
    this.#texts = texts.value;
    this.#fault = "";
    this.current.publish(state.value);
    log.info("the certificate authority has been read anew", { file: files.certificateFile });
  }

  #tellFault(fault: string): void {
    if (fault !== "" && fault !== this.#fault)
      this.#options.log.error("the certificate authority stays as it was", { why: fault });
    this.#fault = fault;
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(LOOK_MS, () => void this.look().then(() => this.#lookLater()), true);
  }
}

interface FileTexts {
  readonly certificates: string;
  readonly privateKey: string;
  readonly roots: string | undefined;
  /** Of the youngest of the files. */
  readonly changedAtMs: number;
  readonly everything: string;
}

async function readTexts({
  certificateFile,
  keyFile,
  rootFile,
}: AuthorityFileNames): Promise<Result<FileTexts, string>> {
  let reading = certificateFile;
  try {
    const certificates = await readFile(certificateFile, "utf8");
    reading = keyFile;
    const privateKey = await readFile(keyFile, "utf8");
    reading = rootFile ?? certificateFile;
    const roots = rootFile === undefined ? undefined : await readFile(rootFile, "utf8");
    const { mtimeMs } = await stat(rootFile ?? certificateFile);
    const everything = [certificates, privateKey, roots ?? ""].join("\n\0");
    return ok({ certificates, privateKey, roots, changedAtMs: mtimeMs, everything });
  } catch (error) {
    return err(`${reading} cannot be read: ${(error as NodeJS.ErrnoException).code ?? "it is no text"}`);
  }
}

function stateOf(
  { certificates, privateKey, roots, changedAtMs }: FileTexts,
  { trustDomain, clock, files }: FileAuthorityOptions,
): Result<AuthorityState, string> {
  const authority = Authority.fromFiles({
    trustDomain,
    certificates,
    privateKey,
    ...(roots !== undefined && { roots }),
    nowMs: clock.wallNow(),
  });
  if (!authority.ok) return err(`${files.certificateFile} with ${files.keyFile}: ${authority.error}`);
  return ok({
    authority: authority.value,
    roots: authority.value.roots.map(({ der }) => der),
    // It has to grow with every change, also over restarts: seconds of the file that the roots are in.
    sequenceNumber: Math.floor(changedAtMs / 1000),
  });
}
