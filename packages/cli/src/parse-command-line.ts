import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "./command.ts";

/** The words behind `heddle NAME`, by the options that the command takes. Throws a `UsageError` on any other. */
export function parseCommandLine<const Config extends Omit<ParseArgsConfig, "args">>(
  args: readonly string[],
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs({ ...config, args: [...args] }) as ReturnType<typeof parseArgs<Config>>;
  } catch (error) {
    // Its first sentence: the ones behind it speak of operands that begin with a dash.
    const [sentence] = (error as Error).message.split(". ");
    const isUnknown = (error as NodeJS.ErrnoException).code === "ERR_PARSE_ARGS_UNKNOWN_OPTION";
    const names = Object.keys(config.options ?? {}).map((name) => `--${name}`);
    throw new UsageError(isUnknown && names.length > 0 ? `${sentence}, allowed: ${names.join(", ")}` : sentence);
  }
}
