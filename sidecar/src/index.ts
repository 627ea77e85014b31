export { NODE_FLAGS } from "./node-flags.ts";
