/** Writes docs/honoured.md from the table that decoding goes by. A test fails when the two differ. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { honouredPage } from "./honoured-page.ts";

writeFileSync(join(import.meta.dirname, "../docs/honoured.md"), honouredPage());
