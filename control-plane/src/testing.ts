export { Snapshots } from "./snapshot/snapshots.ts";
export { worldOf } from "./snapshot/testing.ts";
export { EtcdStore, type EtcdStoreOptions } from "./store/etcd-store.ts";
export type { Store, StoredEntry, StoreUpdate } from "./store/store.ts";
export { committed, contents, put, remove, storeContract } from "./store/store-contract.ts";
