import type { RateLimit } from "../call-rate.ts";

/* What one may ask of the resource API. */

/** Resources of one batch. */
export const MAX_BATCH = 1000;

/** Of a request's body: a ClusterLoadAssignment of 10,000 endpoints has about 2 MiB of YAML. */
export const MAX_REQUEST_BYTES = 8 * 1024 * 1024;

/** Of a batch's texts that are no JSON. Reading YAML takes 2 s a MiB; JSON takes a hundredth of that. */
export const MAX_YAML_BYTES = 1024 * 1024;

/** Of these, what is read where everybody else is served. More goes to a thread. */
export const MAX_YAML_BYTES_HERE = 16 * 1024;

/** Resources in a store. Each write looks at all of them: 20,000 are 50 ms. */
export const MAX_RESOURCES = 20_000;

/** Of one page of a list. gRPC clients take 4 MiB unless told otherwise. */
export const MAX_PAGE_RESOURCES = 1000;
export const MAX_PAGE_BYTES = 3 * 1024 * 1024;

/** Calls that wait for their turn to write. */
export const MAX_WAITING_WRITES = 64;

/** Watches at a time, over both faces. */
export const MAX_WATCHES = 200;

/** Writes of one caller: so many at once, and so many a second from then on. */
export const WRITE_RATE: RateLimit = { burst: 200, perSecond: 50 };
