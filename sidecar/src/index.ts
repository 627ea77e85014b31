export { NODE_ENVIRONMENT, NODE_FLAGS } from "./node-flags.ts";
