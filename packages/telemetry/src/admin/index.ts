export { type AdminAnswer, type AdminPage, jsonAnswer } from "./admin-page.ts";
export { type AdminAddress, AdminServer } from "./admin-server.ts";
