/* Modules of undici's own, which its declarations do not name. */

declare module "undici/lib/dispatcher/client.js" {
  export { Client as default } from "undici";
}

declare module "undici/lib/api/api-request.js" {
  import type { Client, Dispatcher } from "undici";

  /** What `client.request` is where all of undici has been loaded. */
  export default function request(
    this: Client,
    options: Dispatcher.RequestOptions<null>,
  ): Promise<Dispatcher.ResponseData<null>>;
}
