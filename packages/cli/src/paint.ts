/** Colours a text for a terminal, or leaves it as it is. */
export type Paint = (colour: "red" | "yellow" | "green", text: string) => string;

const CODES = { red: 31, yellow: 33, green: 32 } as const;

/** Colours where people look: on a terminal, and only if NO_COLOR (no-color.org) is not set to anything. */
export function colourOf(
  stream: { readonly isTTY?: boolean | undefined },
  environment: Readonly<Record<string, string | undefined>>,
): Paint {
  const wanted = stream.isTTY === true && (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb";
  return wanted ? (colour, text) => `\u001b[${CODES[colour]}m${text}\u001b[0m` : (_, text) => text;
}
