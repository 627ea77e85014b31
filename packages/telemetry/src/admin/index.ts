export { JsonFields, JsonItems, type StreamedJson } from "../json-pieces.ts";
export { type AdminAnswer, type AdminPage, type AdminParam, jsonAnswer, streamedJsonAnswer } from "./admin-page.ts";
export { type AdminAddress, AdminServer } from "./admin-server.ts";
export { sendBody } from "./send-body.ts";
export { beginOf, inSlices } from "./slices.ts";
