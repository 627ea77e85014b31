export { INJECTED_CONTAINER } from "./names.ts";
