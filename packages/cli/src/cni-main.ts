/** What a container runtime calls for each pod: apart from the command, since this has to be over soon. */
import { readFileSync } from "node:fs";
import { runPlugin } from "./cni/plugin.ts";

const { stdout, exitCode } = await runPlugin(
  process.env,
  process.env["CNI_COMMAND"] === undefined ? "" : readFileSync(0, "utf8"),
);
process.stdout.write(stdout);
process.exitCode = exitCode;
