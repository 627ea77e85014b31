/** The folder that a log store lives in, as far as it needs one. Everything rejects with the system's error. */
export interface StoreFolder {
  /** For messages. */
  readonly path: string;
  /** Makes the folder if it is missing, and makes it ours alone. Rejects with a `StoreError` if another process has it. */
  open(): Promise<void>;
  list(): Promise<readonly string[]>;
  read(name: string): Promise<Buffer>;
  /** A new and empty file; one of that name is overwritten. */
  create(name: string): Promise<StoreFile>;
  /** A file to be gone on with behind its first `length` bytes; what is behind them is cut off. */
  append(name: string, length: number): Promise<StoreFile>;
  /** Overwrites what has that name. */
  copy(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Makes durable which files there are, and under which names. */
  sync(): Promise<void>;
  /** Lets go of the folder. */
  close(): Promise<void>;
}

export interface StoreFile {
  /** Puts the bytes behind what is there, all of them. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes durable what was written. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}
