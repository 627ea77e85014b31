// Orders: one item each. Asks stock how many of it are left.
import { call, serve } from "./serve.mjs";

const ITEMS = ["shuttle", "bobbin", "reed", "treadle"];

serve("orders", {
  "GET /orders/": async (id, req) => {
    const item = ITEMS[Number(id) % ITEMS.length] ?? ITEMS[0];
    return { id, item, stock: await call("stock", `/stock/${item}`, req) };
  },
});
