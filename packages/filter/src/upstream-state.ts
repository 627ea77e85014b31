import type { Failure } from "@heddle/base";
import type { UpstreamInfo } from "./exchange.ts";

/** `UpstreamInfo`, as the router fills it in. */
export class UpstreamState implements UpstreamInfo {
  cluster = "";
  address = "";
  localAddress = "";
  connectionReused = false;
  attempts = 0;
  failure: Failure | undefined = undefined;
  connectedMs = -1;
  firstByteMs = -1;
}
