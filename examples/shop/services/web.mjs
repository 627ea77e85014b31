// The shop's front: what a browser or curl asks. Shows an order with what is left in stock.
import { call, serve } from "./serve.mjs";

serve("web", {
  "GET /orders/": async (id, req) => ({ shop: "heddle example", order: await call("orders", `/orders/${id}`, req) }),
  "GET /": async () => ({ shop: "heddle example", try: "/orders/1" }),
});
