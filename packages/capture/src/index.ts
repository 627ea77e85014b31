export { DEFAULT_CAPTURE_PORTS, PROXY_UID } from "./defaults.ts";
