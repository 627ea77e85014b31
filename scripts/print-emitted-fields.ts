/** Writes docs/emitted-fields.md. A test fails when it is not what the tables say. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { emittedFieldsPage } from "./emitted-fields-page.ts";

writeFileSync(join(import.meta.dirname, "../docs/emitted-fields.md"), emittedFieldsPage());
