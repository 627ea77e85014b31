import type { Failure } from "@heddle/base";
import type { HttpVersion } from "@heddle/http";
import type { TlsInfo } from "@heddle/net";
import type { Endpoint } from "@heddle/traffic";
import type { UpstreamInfo } from "./exchange.ts";

/** `UpstreamInfo`, as the router fills it in. */
export class UpstreamState implements UpstreamInfo {
  cluster = "";
  address = "";
  endpoint: Endpoint | undefined = undefined;
  localAddress = "";
  connectionReused = false;
  httpVersion: HttpVersion = "1.1";
  connectionId = 0;
  tls: TlsInfo | undefined = undefined;
  attempts = 0;
  failure: Failure | undefined = undefined;
  connectedMs = -1;
  sentMs = -1;
  firstByteMs = -1;
  lastByteMs = -1;
  wireBytesSent = -1;
  wireBytesReceived = -1;
}
