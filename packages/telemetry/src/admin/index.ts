export { type AdminAnswer, type AdminPage, type AdminParam, jsonAnswer } from "./admin-page.ts";
export { type AdminAddress, AdminServer } from "./admin-server.ts";
