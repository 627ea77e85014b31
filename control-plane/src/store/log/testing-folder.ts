import type { StoreFile, StoreFolder } from "./store-folder.ts";

/** One thing that a store asks of its folder. `bytes`: what is written, behind what is there. */
export interface FolderStep {
  readonly what: "create" | "write" | "sync file" | "truncate" | "copy" | "rename" | "remove" | "sync folder";
  readonly name: string;
  readonly bytes?: Uint8Array;
}

/** A folder whose steps a test looks at, and may let fail. For tests. */
export class WatchedFolder implements StoreFolder {
  readonly path: string;
  readonly #inner: StoreFolder;
  /** Before each step; what it throws is what the step fails with. */
  before: (step: FolderStep) => void = () => {};
  /** After each step that went well. */
  after: (step: FolderStep) => void = () => {};

  constructor(inner: StoreFolder) {
    this.path = inner.path;
    this.#inner = inner;
  }

  open(): Promise<void> {
    return this.#inner.open();
  }

  list(): Promise<readonly string[]> {
    return this.#inner.list();
  }

  read(name: string): Promise<Buffer> {
    return this.#inner.read(name);
  }

  async create(name: string): Promise<StoreFile> {
    return this.#watched(name, await this.#step({ what: "create", name }, () => this.#inner.create(name)));
  }

  async append(name: string, length: number): Promise<StoreFile> {
    return this.#watched(name, await this.#step({ what: "truncate", name }, () => this.#inner.append(name, length)));
  }

  copy(from: string, to: string): Promise<void> {
    return this.#step({ what: "copy", name: from }, () => this.#inner.copy(from, to));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#step({ what: "rename", name: from }, () => this.#inner.rename(from, to));
  }

  remove(name: string): Promise<void> {
    return this.#step({ what: "remove", name }, () => this.#inner.remove(name));
  }

  sync(): Promise<void> {
    return this.#step({ what: "sync folder", name: "" }, () => this.#inner.sync());
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #watched(name: string, file: StoreFile): StoreFile {
    return {
      write: (bytes) => this.#step({ what: "write", name, bytes }, () => file.write(bytes)),
      sync: () => this.#step({ what: "sync file", name }, () => file.sync()),
      truncate: (length) => this.#step({ what: "truncate", name }, () => file.truncate(length)),
      close: () => file.close(),
    };
  }

  async #step<T>(step: FolderStep, take: () => Promise<T>): Promise<T> {
    this.before(step);
    const outcome = await take();
    this.after(step);
    return outcome;
  }
}

/**
 * A folder in memory that knows what a crash would leave of it: everything that was asked for, if the process is killed;
 * of what no fsync has covered, nothing or anything, if the machine is. For tests.
 */
export class MemoryFolder implements StoreFolder {
  readonly path = "/memory";
  #files = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();

  /** @param files what is there at first, durable. */
  constructor(files: ReadonlyMap<string, Uint8Array> = new Map()) {
    for (const [name, bytes] of files)
      this.#files.set(name, { bytes: Buffer.from(bytes), durable: Buffer.from(bytes) });
    this.#durableNames = new Map(this.#files);
  }

  /** What the next process finds after a kill -9. */
  get seen(): Map<string, Buffer> {
    return picture(this.#files, ({ bytes }) => bytes);
  }

  /** What may be found after a power failure: each of the names and of the contents as they are now or as they were durable. */
  get afterPowerFailure(): Map<string, Buffer>[] {
    return [
      picture(this.#durableNames, ({ durable }) => durable),
      picture(this.#durableNames, ({ bytes }) => bytes),
      picture(this.#files, ({ durable }) => durable),
      // The new length, and zeros where the pages never came.
      picture(this.#files, ({ bytes, durable }) =>
        bytes.length <= durable.length ? bytes : Buffer.concat([durable, Buffer.alloc(bytes.length - durable.length)]),
      ),
    ];
  }

  async open(): Promise<void> {}

  async list(): Promise<readonly string[]> {
    return [...this.#files.keys()];
  }

  async read(name: string): Promise<Buffer> {
    return Buffer.from(this.#inode(name).bytes);
  }

  async create(name: string): Promise<StoreFile> {
    this.#files.set(name, { bytes: Buffer.alloc(0), durable: Buffer.alloc(0) });
    return this.#open(this.#inode(name));
  }

  async append(name: string, length: number): Promise<StoreFile> {
    const inode = this.#inode(name);
    inode.bytes = inode.bytes.subarray(0, length);
    return this.#open(inode);
  }

  async copy(from: string, to: string): Promise<void> {
    this.#files.set(to, { bytes: this.#inode(from).bytes, durable: Buffer.alloc(0) });
  }

  async rename(from: string, to: string): Promise<void> {
    this.#files.set(to, this.#inode(from));
    this.#files.delete(from);
  }

  async remove(name: string): Promise<void> {
    this.#files.delete(name);
  }

  async sync(): Promise<void> {
    this.#durableNames = new Map(this.#files);
  }

  async close(): Promise<void> {}

  #inode(name: string): Inode {
    const inode = this.#files.get(name);
    if (inode === undefined) throw new Error(`ENOENT: no such file, open '${name}'`);
    return inode;
  }

  #open(inode: Inode): StoreFile {
    return {
      write: async (bytes) => {
        inode.bytes = Buffer.concat([inode.bytes, bytes]);
      },
      sync: async () => {
        inode.durable = inode.bytes;
      },
      truncate: async (length) => {
        inode.bytes = inode.bytes.subarray(0, length);
      },
      close: async () => {},
    };
  }
}

/** Buffers are replaced, never changed, so pictures may share them. */
interface Inode {
  bytes: Buffer;
  durable: Buffer;
}

function picture(names: ReadonlyMap<string, Inode>, of: (inode: Inode) => Buffer): Map<string, Buffer> {
  return new Map([...names].map(([name, inode]) => [name, of(inode)]));
}
