// Stock, in two versions: v2 also says where the item lies.
import { serve } from "./serve.mjs";

const version = process.env.VERSION ?? "v1";

serve(`stock ${version}`, {
  "GET /stock/": async (item) => ({
    item,
    left: item.length,
    version,
    ...(version === "v1" ? {} : { shelf: `B${item.length}` }),
  }),
});
