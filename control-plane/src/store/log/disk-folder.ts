import { constants, copyFile, type FileHandle, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { lockFile } from "@heddle/net";
import { StoreError } from "../store-error.ts";
import type { StoreFile, StoreFolder } from "./store-folder.ts";

/** Who may read: what is stored may hold secrets. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const LOCK = "lock";
/** Never through a symbolic link: in a folder that others may write to it would lead anywhere. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/** A folder of a local file system. */
export class DiskFolder implements StoreFolder {
  readonly path: string;
  #lock: FileHandle | undefined;

  constructor(path: string) {
    this.path = path;
  }

  async open(): Promise<void> {
    const lock = await openLock(this.path).catch((error: unknown) => {
      throw new StoreError("unusable", `the store's folder cannot be opened: ${(error as Error).message}`, error);
    });
    const locked = await lockFile(lock.fd);
    if (locked === "locked") {
      this.#lock = lock;
      return;
    }
    await lock.close();
    throw locked === "taken"
      ? new StoreError("taken", `${this.path} is in use by another process: a store has one owner (several need etcd)`)
      : new StoreError("unusable", `${this.path} cannot be locked: neither koffi nor flock(1) is here`);
  }

  list(): Promise<readonly string[]> {
    return readdir(this.path);
  }

  read(name: string): Promise<Buffer> {
    return readFile(join(this.path, name));
  }

  async create(name: string): Promise<StoreFile> {
    return new DiskFile(await open(join(this.path, name), NEW_FILE, FILE_MODE), 0);
  }

  async append(name: string, length: number): Promise<StoreFile> {
    const file = new DiskFile(await open(join(this.path, name), "r+"), length);
    await file.truncate(length);
    return file;
  }

  copy(from: string, to: string): Promise<void> {
    return copyFile(join(this.path, from), join(this.path, to), constants.COPYFILE_FICLONE);
  }

  rename(from: string, to: string): Promise<void> {
    return rename(join(this.path, from), join(this.path, to));
  }

  remove(name: string): Promise<void> {
    return rm(join(this.path, name), { force: true });
  }

  sync(): Promise<void> {
    return syncFolder(this.path);
  }

  async close(): Promise<void> {
    await this.#lock?.close();
    this.#lock = undefined;
  }
}

async function openLock(path: string): Promise<FileHandle> {
  const made = await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  if (made !== undefined) await syncFolder(dirname(made));
  return open(join(path, LOCK), "a", FILE_MODE);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

class DiskFile implements StoreFile {
  readonly #handle: FileHandle;
  #length: number;

  constructor(handle: FileHandle, length: number) {
    this.#handle = handle;
    this.#length = length;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#length);
      done += bytesWritten;
      this.#length += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync(); // the length is data: without it nothing of what was added could be read
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
    this.#length = length;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
